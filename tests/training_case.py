"""A tiny learning problem for the training tests: random images of two kinds, a few labels."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from distal.communicator import Alone, Communicator
from distal.config import Config, GanConfig, NetConfig
from distal.models import MODELS
from distal.resolve import parse_config
from distal.train import Trainable, TrainingRows, train_round

ROWS = 200


class Stripes:
    """Images [n, 1, 8, 8]: even rows horizontal, odd rows vertical stripes, with noise by row."""

    def pixels(self, row_ids: np.ndarray) -> np.ndarray:
        stripes = np.tile(np.array([40, 210], np.float32), 4)
        images = [np.broadcast_to(stripes[:, None] if i % 2 == 0 else stripes[None], (8, 8)) for i in row_ids]
        noise = np.stack([np.random.default_rng(int(i)).normal(0, 12, (8, 8)) for i in row_ids])
        return np.clip(np.stack(images) + noise, 0, 255).astype(np.uint8)[:, None]

    def request(self, row_ids: np.ndarray) -> Callable[[], np.ndarray]:
        return partial(self.pixels, row_ids)


def config(net: str = "dense", **train: Any) -> Config:
    plain = {"batch_size": 12, "precision": "fp32", "ema_half_life": 10.0}
    given = plain | train
    model = given.pop("model", {})
    own = {key: given.pop(key) for key in list(given) if key in GanConfig.model_fields}
    sizes = {"name": net, "width": 4, "features": 8}
    sizes |= {key: given.pop(key) for key in list(given) if key in NetConfig.model_fields}
    return parse_config({"seed": 4, "net": sizes, "train": given, "model": {**own, **model}})


def labeled_rows(n: int = 6, **changes: Any) -> TrainingRows:
    ids = np.arange(n, dtype=np.int64)
    return TrainingRows(Stripes(), ROWS, np.zeros(0, np.int64), None, ids, ids % 2, seed=4, **changes)


def trained(
    c: Config, steps: int, comm: Communicator | None = None, labels: int = 6, begun: int = 0
) -> tuple[Any, dict[str, float]]:
    state = MODELS.find(c.model.kind).create(c, image_size=8, channels=1, classes=2)
    state.step = begun
    return train_round(state, labeled_rows(labels), comm or Alone(), steps)


def weights(state: Trainable) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for m in state.modules().values() for p in m.parameters()])

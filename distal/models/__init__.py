"""What learns: models by name behind one protocol, so that rounds, checkpoints and scores know none of them.

gan    gan/    a conditional GAN with a classifier head, semi-supervised

A new model is a class that fits `Model`, with one entry here, or in the entry points `distal.models` of a package.
"""

from typing import Any

from distal.models.gan import GAN
from distal.models.protocol import Judging, Model, Scorer
from distal.nets.weights import header_of
from distal.registry import Registry

__all__ = ["GAN", "MODELS", "Judging", "Model", "Scorer", "read_scorer"]

MODELS: Registry[type[Model]] = Registry("model.kind", "model", "distal.models", {"gan": GAN})


def read_scorer(data: bytes, device: Any = "cpu", gains: bool | None = None) -> Scorer:
    """Rebuild a scorer from its `to_bytes`, whose header says whose it is; see `Model.read_scorer`."""
    return MODELS.find(header_of(data)["model"]).read_scorer(data, device, gains)

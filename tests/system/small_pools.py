"""Write small pools, an extractor and settings for runs that end in a second."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
QUICK = (
    "rounds=1",
    "query.batch=4",
    "pool.shards=1",
    "train.steps=2",
    "train.batch_size=8",
    "train.threads=1",
    "net.width=4",
    "net.latent_dim=8",
    "evaluate.extractor=inception",
    "evaluate.samples=32",
)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def images(count: int, seed: int = 0, side: int = 8) -> list[bytes]:
    noise = np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)
    return [png(pixels) for pixels in noise]


def write_pool(path: Path, encoded: list[bytes], labels: Any = None) -> Path:
    """Write images and, unless None, a label column."""
    rows = [{"bytes": data, "path": f"{row}.png"} for row, data in enumerate(encoded)]
    columns = {"image": pa.array(rows, IMAGE)} | ({} if labels is None else {"label": pa.array(labels)})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


class Coarse(torch.nn.Module):
    """Average over quarters of the image: features float32 [n, 12] that cost nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x.float(), 2).flatten(1)


def write_extractor(path: Path) -> Path:
    torch.jit.save(torch.jit.script(Coarse()), path)
    return path

"""Bring a network's features to what strategies and the probe see: centred, few dimensions, unit length.

A row x of features is z / |z| with z = W^T (x - m): m is the mean over the pool, W its leading principal components
(Jolliffe 2002, chapter 2). Cosine geometry suits frozen features, and k-center and k-means++ over few dimensions cost a
tenth of what they do over 1,280. Dividing features by their deviation helps k-center alone (docs/results.md).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.nets.weights import pack, unpack
from distal.streams import row_uniforms

Doubles = npt.NDArray[np.float64]

SAMPLE = 4096
"""Rows of the pool whose moments stand for all of it, chosen by a hash of the row id."""

_SMALLEST = 1e-6


def sampled_rows(rows: int, seed: int) -> npt.NDArray[np.int64]:
    """Return which of a pool's rows are the sample, int64 ascending; all where there are no more."""
    every = np.arange(rows, dtype=np.int64)
    order = np.argsort(row_uniforms(every, seed, "projection"), kind="stable") if rows > SAMPLE else every
    return np.sort(order[:SAMPLE]).astype(np.int64)


@dataclass(frozen=True)
class Projection:
    """Map float16 [n, F] to float32 [n, d] of unit length; a row of mean features becomes zero.

    mean: float32 [F]. matrix: float32 [F, d].
    """

    mean: torch.Tensor
    matrix: torch.Tensor

    @classmethod
    def fit(cls, sample: npt.NDArray[np.float16], dimensions: int) -> "Projection":
        """Take the moments of a sample of the pool, float16 [m, F], m >= 1."""
        rows: Doubles = sample.astype(np.float64)
        mean = rows.mean(0)
        _, vectors = np.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        matrix = np.ascontiguousarray(vectors[:, ::-1][:, :dimensions])
        return cls(torch.from_numpy(mean).float(), torch.from_numpy(matrix).float())

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return float32 [n, d] on the features' device."""
        rows = (features.float() - self.mean.to(features.device)) @ self.matrix.to(features.device)
        return torch.nn.functional.normalize(rows, eps=_SMALLEST)

    def to_bytes(self) -> bytes:
        """Return safetensors bytes."""
        return pack({"mean": self.mean, "matrix": self.matrix})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Projection":
        """Rebuild it from `to_bytes`. RunError where the bytes are damaged."""
        tensors = unpack(data)
        return cls(tensors["mean"], tensors["matrix"])

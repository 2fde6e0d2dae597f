"""Bring a network's features to what strategies and the probe see: standardized, few dimensions, unit length.

A row x of features becomes z / |z| with z = W^T (x - m) / s: m and s are mean and deviation of each feature over the
pool, W the leading principal components of the standardized pool (Jolliffe 2002, chapter 2). Cosine geometry suits
frozen features, and k-center and k-means++ over few dimensions cost a tenth of what they do over 1,280.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.nets.weights import pack, unpack

Doubles = npt.NDArray[np.float64]

SAMPLE = 4096
"""Rows of the pool whose moments stand for all of it, chosen by a hash of the row id."""

_SMALLEST = 1e-6


@dataclass(frozen=True)
class Projection:
    """Map float16 [n, F] to float32 [n, d] of unit length; a row of mean features becomes zero.

    mean: float32 [F]. matrix: float32 [F, d], with the scale in it.
    """

    mean: torch.Tensor
    matrix: torch.Tensor

    @classmethod
    def fit(cls, sample: npt.NDArray[np.float16], dimensions: int) -> "Projection":
        """Take the moments of a sample of the pool, float16 [m, F], m >= 1."""
        rows: Doubles = sample.astype(np.float64)
        mean, scale = rows.mean(0), rows.std(0)
        scale = np.where(scale > _SMALLEST, scale, np.inf)  # a feature that never changes says nothing
        standardized = (rows - mean) / scale
        _, vectors = np.linalg.eigh(standardized.T @ standardized / len(rows))
        leading = vectors[:, ::-1][:, :dimensions]
        matrix = leading / scale[:, None]
        return cls(torch.from_numpy(mean).float(), torch.from_numpy(np.ascontiguousarray(matrix)).float())

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

"""Bring a network's features to what strategies and the probe see: centred, few dimensions, unit length.

A row x of features becomes z / |z| with z = W^T (x - m): m is the mean over the pool, W its leading principal
components (Jolliffe 2002, chapter 2). Cosine geometry suits frozen features, and k-center and k-means++ over few
dimensions cost a tenth of what they do over 1,280. Dividing features by their deviation helps k-center alone
(docs/results.md).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.errors import RunError
from distal.features.network import FeatureNetwork
from distal.nets.threads import one_thread
from distal.nets.weights import header_of, pack, unpack
from distal.run.seals import sha256
from distal.streams import row_uniforms

Ints = npt.NDArray[np.int64]

SAMPLE = 4096
"""Rows of the pool whose moments stand for all of it, chosen by a hash of the row id."""

_SMALLEST = 1e-6


def sampled_rows(rows: Ints, seed: int) -> Ints:
    """Return which of these rows are the sample, int64 ascending; all where there are no more."""
    if len(rows) <= SAMPLE:
        return rows
    order = np.argsort(row_uniforms(rows, seed, "projection"), kind="stable")
    return np.sort(rows[order[:SAMPLE]])


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
        rows = torch.from_numpy(sample).double()
        mean = rows.mean(0)
        with one_thread():  # the same bits whatever the number of cores
            _, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
        return cls(mean.float(), vectors.flip(1)[:, :dimensions].float().contiguous())

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return float32 [n, d] on the features' device."""
        rows = (features.float() - self.mean.to(features.device)) @ self.matrix.to(features.device)
        return torch.nn.functional.normalize(rows, eps=_SMALLEST)

    def to_bytes(self) -> bytes:
        """Return safetensors bytes, with a digest of them in their header."""
        tensors = {"mean": self.mean, "matrix": self.matrix}
        return pack(tensors, {"sha256": sha256(pack(tensors))})

    @classmethod
    def from_bytes(cls, data: bytes, network: FeatureNetwork | None = None) -> "Projection":
        """Rebuild it from `to_bytes`. RunError where the bytes are damaged, or of features as no such network has."""
        tensors = unpack(data)
        try:
            whole = header_of(data)["sha256"] == sha256(pack(tensors))
        except (ValueError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole:
            raise RunError(
                "is damaged: its digest does not fit.\n"
                "Restore it from a copy, or delete it: distal resume then makes the same from the same images."
            )
        if network is not None and network.width != len(tensors["mean"]):
            raise RunError(
                f"projects {len(tensors['mean'])} features, and {network.name} has {network.width}: the run began with "
                "another network.\nGo on with the version of distal, or of the package of that network, that it began "
                "with, or begin another run."
            )
        return cls(tensors["mean"], tensors["matrix"])

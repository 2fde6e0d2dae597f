"""Generate the images that are scored: the same latents and labels every time, shared among the ranks by batches."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal.communicator import Communicator, on_first_rank
from distal.errors import EvaluationError
from distal.features import FeatureNetwork
from distal.metrics.frechet import Gaussian, Moments, frechet_distance
from distal.metrics.pool_cnn import Judge
from distal.metrics.reference import IntArray
from distal.metrics.statistics import BATCH, KERNEL_ROWS, gather_rows
from distal.train.latents import evaluation_latents

Generate = Callable[[Tensor, Tensor], Tensor]
Listener = Callable[[int, int], None]


@dataclass(frozen=True)
class GeneratedFeatures:
    """Hold this rank's part of the scored images, as features; float32 x samples x features in memory over all ranks.

    positions: int64 [n] global. labels: int64 [n] asked for. features: float32 [n, F]. logits: float32 [n, K] of the
    judge, or None without a judge. counts: int64 [K] asked for, over all ranks. broken: images over all ranks whose
    features are not finite.
    """

    positions: IntArray
    labels: IntArray
    features: Tensor
    logits: Tensor | None
    counts: IntArray
    broken: int
    comm: Communicator

    @property
    def samples(self) -> int:
        """Return the number of images over all ranks."""
        return int(self.counts.sum())

    @property
    def broken_note(self) -> str | None:
        """Say how many images have features that are not finite; None where none has."""
        if not self.broken:
            return None
        return f"{self.broken} of {self.samples} generated images have features that are NaN or infinite"

    def distance(self, reference: Gaussian, label: int | None = None) -> float:
        """Return the Frechet distance of all images, or of one label's, from the reference, the same on every rank.

        Few rows are gathered, many are reduced to moments: either way at most F x F numbers move.
        """
        width = self.features.shape[1]
        chosen = np.ones(len(self.labels), bool) if label is None else self.labels == label
        rows = self.features[torch.from_numpy(chosen).to(self.features.device)]
        generated: Gaussian | Moments
        if (self.samples if label is None else self.counts[label]) <= width:
            generated = Gaussian.from_features(gather_rows(self.positions[chosen], rows, self.comm))
        else:
            generated = Moments(reference.mean)
            generated.add(rows)
            generated.sum_(self.comm)
        return on_first_rank(self.comm, lambda: frechet_distance(reference, generated))

    def kernel_rows(self) -> Tensor:
        """Return the features of the first KERNEL_ROWS images on every rank."""
        return self._gathered(self.positions < KERNEL_ROWS)

    def class_rows(self, label: int) -> Tensor:
        """Return the features of the first KERNEL_ROWS images of a class on every rank."""
        return self._gathered((self.labels == label) & (self.positions < KERNEL_ROWS * len(self.counts)))

    def _gathered(self, chosen: npt.NDArray[np.bool_]) -> Tensor:
        rows = self.features[torch.from_numpy(chosen).to(self.features.device)]
        return gather_rows(self.positions[chosen], rows, self.comm)

    def agreement(self) -> IntArray:
        """Return how many images of each asked class the judge agrees with, int64 [K] over all ranks."""
        if self.logits is None:
            raise EvaluationError("Agreement needs a judge, and a judge needs held-out images with labels.")
        judged = self.logits.argmax(1).cpu().numpy()
        right = np.bincount(self.labels[judged == self.labels], minlength=len(self.counts))
        total: IntArray = np.sum(self.comm.gather(right), axis=0, dtype=np.int64)
        return total


def evaluation_batch(batch: int, samples: int, latent_dim: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return batch number `batch` of the scored latents float32 [b, z] and labels int64 [b].

    They depend on nothing but their position, so two checkpoints, trials or runs are compared in pairs. Labels go round
    the classes.
    """
    positions = torch.arange(batch * BATCH, min((batch + 1) * BATCH, samples))
    return evaluation_latents(batch, BATCH, latent_dim)[: len(positions)], positions % classes


def generate_features(
    generate: Generate,
    extractor: FeatureNetwork,
    judge: Judge | None,
    samples: int,
    latent_dim: int,
    classes: int,
    comm: Communicator,
    listen: Listener | None = None,
) -> GeneratedFeatures:
    """Generate `samples` images, every comm.size-th batch on this rank, and keep their features.

    generate: latents float32 [b, z], labels int64 [b] to images uint8 [b, C, H, W]. listen: called with images done and
    in all. Batches are the same whatever the number of ranks, so a network's result cannot depend on it.
    """
    positions, features, logits = [], [], []
    for batch in range(comm.rank, -(-samples // BATCH), comm.size):
        latents, labels = evaluation_batch(batch, samples, latent_dim, classes)
        images = generate(latents.to(comm.device), labels.to(comm.device)).to(comm.device)
        if images.dtype != torch.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise EvaluationError(
                f"generate must return uint8 [{len(labels)}, C, H, W], not {images.dtype} {list(images.shape)}."
            )
        found = extractor(images)
        features.append(found)
        positions.append(np.arange(batch * BATCH, batch * BATCH + len(labels)))
        if judge is not None:
            own = found if judge.extractor.hash == extractor.hash else judge.extractor(images)
            logits.append(judge.logits(own))
        if listen is not None:
            listen(min((batch + 1) * BATCH, samples), samples)
    width = max(comm.gather(features[0].shape[1] if features else 0))
    empty = np.zeros(0, np.int64)
    all_positions = np.concatenate([empty, *positions])
    rows = torch.cat([torch.zeros(0, width, device=comm.device), *features])
    return GeneratedFeatures(
        positions=all_positions,
        labels=all_positions % classes,
        features=rows,
        logits=None if judge is None else torch.cat([torch.zeros(0, classes, device=comm.device), *logits]),
        counts=np.bincount(np.arange(samples) % classes, minlength=classes),
        broken=sum(comm.gather(int((~torch.isfinite(rows).all(1)).sum()))),
        comm=comm,
    )

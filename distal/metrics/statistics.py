"""Describe the reference split in an extractor's features, once, and keep it in the run's storage."""

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from distal.communicator import Communicator, on_first_rank
from distal.errors import EvaluationError
from distal.features import FeatureNetwork
from distal.features.network import PhaseListener, unheard
from distal.metrics.frechet import Gaussian, frechet_distance
from distal.metrics.kernel import within_sums
from distal.metrics.reference import IntArray, ReferenceSplit
from distal.run.artefacts import Store, cached

VERSION = 2  # raise it with any change to what is kept
BATCH = 128
KERNEL_ROWS = 4096  # images a side that the kernel distance compares at most: its time grows with the square
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceStatistics:
    """Hold what distances from the reference need; about 12 bytes x images x features in memory.

    features: float32 [n, F] in the split's order. gaussian: of all of them. by_class: of each class's labeled images,
    only where there are two or more. labels: the split's. kernel_rows: float32 [m, F], spread evenly over the split, m
    at most KERNEL_ROWS. within: float64 [m], of each its kernel's sum over the others. halves: distance between the two
    halves of the reference, which tells how small a distance can be seen at this number of images.
    """

    features: Tensor
    gaussian: Gaussian
    by_class: dict[int, Gaussian]
    labels: IntArray
    kernel_rows: Tensor
    within: Tensor
    halves: float

    def class_rows(self, label: int) -> Tensor:
        """Return the features of a class's labeled images, spread evenly, at most KERNEL_ROWS."""
        members = torch.from_numpy(np.flatnonzero(self.labels == label)).to(self.features.device)
        return _spread(self.features[members])


def reference_statistics(
    split: ReferenceSplit,
    extractor: FeatureNetwork,
    store: Store,
    comm: Communicator,
    listen: PhaseListener = unheard,
) -> ReferenceStatistics:
    """Load the statistics from the store, or compute them over all ranks and keep them.

    listen: called with "reference", images done and in all. Raises EvaluationError where features of reference images
    are not finite.
    """
    listen("reference", 0, len(split))
    text = f"{VERSION} {extractor.name} {extractor.hash} {split.key}"
    path = f"references/{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
    if not on_first_rank(comm, lambda: store.has(path)):
        features = _all_features(split, extractor, comm, listen)
        within = within_sums(_spread(features), comm)
        cached(store, path, comm, lambda: _summarize(features, within))
    state = {
        name: tensor.to(comm.device) for name, tensor in load(cached(store, path, comm, lambda: _missing(path))).items()
    }
    features = state["features"]
    by_class = {}
    for label in np.unique(split.labels[split.labels >= 0]):
        members = torch.from_numpy(np.flatnonzero(split.labels == label)).to(comm.device)
        if len(members) >= 2:
            by_class[int(label)] = Gaussian.from_features(features[members])
    gaussian = Gaussian(state["mean"], state["half"], len(features))
    kernel_rows, within, halves = _spread(features), state["within"], float(state["halves"])
    return ReferenceStatistics(features, gaussian, by_class, split.labels, kernel_rows, within, halves)


def gather_rows(positions: IntArray, features: Tensor, comm: Communicator) -> Tensor:
    """Return the rows [n, F] of all ranks in the order of their global positions, int64 [n], on every rank."""
    pieces = comm.gather((positions, features.cpu().numpy()))
    order = np.argsort(np.concatenate([p for p, _ in pieces]), kind="stable")
    rows = np.concatenate([f for _, f in pieces])[order]
    return torch.from_numpy(rows).to(features.device)


def _all_features(
    split: ReferenceSplit, extractor: FeatureNetwork, comm: Communicator, listen: PhaseListener
) -> Tensor:
    mine = []
    for positions, images in split.batches(comm, BATCH):
        mine.append((positions, extractor(images)))
        listen("reference", int(positions[-1]) + 1, len(split))
    width = max(comm.gather(mine[0][1].shape[1] if mine else 0))
    rows = torch.cat([torch.zeros(0, width, device=comm.device), *(features for _, features in mine)])
    positions = np.concatenate([np.zeros(0, np.int64), *(positions for positions, _ in mine)])
    features = gather_rows(positions, rows, comm)
    bad = int((~torch.isfinite(features).all(1)).sum())
    if bad:
        raise EvaluationError(
            f"{bad} of {len(features)} reference images have features of {extractor.name} that are not finite."
        )
    logger.info("reference: %d images, %d features of %s", len(features), width, extractor.name)
    return features


def _summarize(features: Tensor, within: Tensor) -> bytes:
    gaussian = Gaussian.from_features(features)
    even, odd = Gaussian.from_features(features[::2]), Gaussian.from_features(features[1::2])
    halves = torch.tensor(frechet_distance(even, odd), dtype=torch.float64)
    state = {"features": features, "mean": gaussian.mean, "half": gaussian.half, "within": within, "halves": halves}
    data: bytes = save({name: tensor.cpu().contiguous() for name, tensor in state.items()})
    return data


def _spread(features: Tensor) -> Tensor:
    """Return at most KERNEL_ROWS rows, evenly spread."""
    n = len(features)
    if n <= KERNEL_ROWS:
        return features
    return features[torch.linspace(0, n - 1, KERNEL_ROWS, dtype=torch.float64, device=features.device).long()]


def _missing(path: str) -> bytes:
    raise EvaluationError(f"The reference statistics {path} vanished from the run's storage while they were read.")

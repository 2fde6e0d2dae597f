"""Say what a feature extractor is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.metrics.cache import Store
from distal.metrics.reference import ReferenceSplit

PhaseListener = Callable[[str, int, int], None]


def unheard(phase: str, done: int, total: int) -> None:
    """Listen to no phase."""


@dataclass(frozen=True)
class Extractor:
    """Turn images uint8 [N, C, H, W] into features float32 [N, F].

    hash: SHA-256 of the weights; two distances are comparable only when it agrees. features: on the images' device.
    note: what a reader of its scores should know.
    """

    name: str
    hash: str
    features: Callable[[Tensor], Tensor]
    note: str | None = None

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Return features float32 [N, F]."""
        return self.features(images).float()


@dataclass(frozen=True)
class ExtractorRequest:
    """Hold what a builder of extractors may use.

    split: the reference. path: evaluate.extractor_path. store: where files that cost time are kept. listen: hears of
    what takes time: "extractor" or "reference", and how much of it is done and in all.
    """

    split: ReferenceSplit
    path: str | None
    store: Store
    comm: Communicator
    listen: PhaseListener = unheard


ExtractorBuilder = Callable[[ExtractorRequest], Extractor]

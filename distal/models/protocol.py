"""Say what a model is to everything else: something that is updated, generates, scores, and is kept in files."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from distal.config import Config, ModelSection
from distal.nets.drawing import Drawing
from distal.nets.scorer import Scores
from distal.train.latents import Feedback
from distal.train.round import Trainable


class Scorer(Protocol):
    """Score images with weights that are not trained any more."""

    def __call__(self, images: Tensor, /) -> Scores:
        """Return what strategies see of uint8 images [n, C, H, W]: float32 tensors by name, those that `gives` says."""

    def to_bytes(self) -> bytes:
        """Return `nets.weights.pack`'s bytes, whose header has the model's kind under `model`."""


class Model(Trainable, Protocol):
    """Be a model under training: what a round needs of it, besides `Trainable`.

    section: its section `model:` of the configuration, a ModelSection with its own kind and keys. gives: the names of
    what its scorer gives.
    """

    section: ClassVar[type[ModelSection]]
    gives: ClassVar[frozenset[str]]
    device: torch.device

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise ConfigError where the section names what is not known, or it cannot learn as the configuration says.

        `query.synthesize` is such a thing: a batch's `synthesized` images have to teach it what people said of them.
        """

    @classmethod
    def create(
        cls, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> "Model":
        """Start untrained, all weights a function of config.seed."""

    @classmethod
    def from_files(
        cls,
        config: Config,
        files: Mapping[str, bytes],
        device: torch.device | str = "cpu",
        expected: tuple[int, int, int] | None = None,
    ) -> "Model":
        """Restore `to_files` exactly; expected: image size, channels, classes. RunError where that cannot be."""

    @classmethod
    def read_scorer(cls, data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> Scorer:
        """Rebuild a scorer from its `to_bytes`. gains: whether "auto" may count on bfloat16; None asks this device."""

    def to_files(self) -> dict[str, bytes]:
        """Return everything as files by name, the manifest as `manifest.json` (see `train.checkpoint`)."""

    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return uint8 images [n, C, H, W] for latents [n, net.latent_dim] and int64 labels [n], row by row."""

    def scorer(self) -> Scorer:
        """Return what scores the pool, with weights of its own."""


@runtime_checkable
class Exportable(Protocol):
    """Be a model whose images one module of plain tensors draws."""

    def drawing(self) -> Drawing:
        """Return that module, with weights of its own, in float32 on the CPU."""


@runtime_checkable
class Judging(Protocol):
    """Be a model with a discriminator, by whose word latents can be chosen."""

    def feedback(self) -> Feedback:
        """Return the networks that generate and judge."""

    def conditions(self, labels: Tensor) -> Tensor:
        """Return the classes [n, K] that images of int64 labels [n] are generated and judged under."""


@dataclass(frozen=True)
class Bare:
    """Hold networks without weights, on the device "meta": all that a rank trains, and an image's way through them.

    look: takes images float32 [1, C, H, W]; what it computes is kept for the gradient of every image of a batch.
    """

    modules: Sequence[nn.Module]
    look: Callable[[Tensor], object]


@runtime_checkable
class Weighable(Protocol):
    """Be a kind of model that shows what it would build, so that what no machine has memory for is refused before."""

    @classmethod
    def bare(cls, config: Config, image_size: int, channels: int, classes: int) -> Bare:
        """Return its networks; called where torch's default device is "meta"."""


@runtime_checkable
class Counting(Protocol):
    """Be a model whose updates may be private, which counts what they spend."""

    def spent(self) -> dict[str, float] | None:
        """Return epsilons, delta, noise and updates so far, by name; None where updates are not private."""

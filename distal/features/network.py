"""Say what a feature network is, and what its builder may use."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from distal.communicator import Communicator
from distal.data.protocol import Ids, Rows
from distal.nets.precision import hardware_gains, resolve
from distal.run.artefacts import Store

PhaseListener = Callable[[str, int, int], None]


def unheard(phase: str, done: int, total: int) -> None:
    """Listen to no phase."""


@dataclass(frozen=True)
class FeatureNetwork:
    """Turn images uint8 [n, C, S, S] into features float32 [n, F] by weights that no run changes.

    hash: SHA-256 of weights, preprocessing and arithmetic; features, and distances between them, are comparable only
    where it agrees. width: F. size: the side in pixels, and channels: 1 or 3, to decode images to for it; None where
    the pool's own are best. Where these are given, images of another side and grey ones are taken as well, as those
    that are generated are. features: on the images' device. maps: float images [n, C, H, W] in [-1, 1], of any side,
    to feature maps of strides 4, 8, 16 and 32, differentiable; None where the network has none. note: what a reader of
    its scores should know.
    """

    name: str
    hash: str
    width: int
    size: int | None
    channels: int | None
    features: Callable[[Tensor], Tensor]
    maps: Callable[[Tensor], tuple[Tensor, ...]] | None = None
    note: str | None = None

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Return features float32 [n, F]."""
        return self.features(images).float()


@dataclass(frozen=True)
class PoolSample:
    """Hold images of the pool that a network may be trained on.

    rows: gives their pixels; None where the network can only be one that was trained before. row_ids: int64 [n]; the
    eyes of a run may learn from all but those held out, those of its evaluation from these. key: says which images
    these are, of which files, and how they were decoded.
    """

    rows: Rows | None
    row_ids: Ids
    key: str


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """Hold what a builder of feature networks may use.

    image_size, channels: of the pool. comm: all its ranks build together; its device is the network's. store: where
    files that cost time are kept. path: evaluate.extractor_path. gains: whether to count on bfloat16 hardware, where
    several devices must agree; None asks this one's. pool: None where there is none to be trained on. listen: hears of
    what takes time: a phase, how much of it is done and in all.
    """

    image_size: int
    channels: int
    comm: Communicator
    store: Store
    path: str | None = None
    gains: bool | None = None
    pool: PoolSample | None = None
    listen: PhaseListener = unheard

    def precision(self) -> str:
        """Return "bf16" where the devices of all ranks gain from it, else "fp32": their features must agree."""
        device = self.comm.device
        gains = all(self.comm.gather(hardware_gains(device))) if self.gains is None else self.gains
        return resolve("auto", device, convolutional=True, gains=gains)


FeatureBuilder = Callable[..., FeatureNetwork]
"""Takes the request; under a name that ends in a colon also `argument`, what follows it."""


def hash_of(*parts: bytes | str) -> str:
    """Return the SHA-256, in hexadecimal digits, of what decides the features; where one part ends decides as well."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part.encode() if isinstance(part, str) else part).digest())
    return total.hexdigest()


def rgb(images: Tensor) -> Tensor:
    """Return images [n, C, H, W] with three channels; grey is repeated, at no cost of memory."""
    return images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images


def resized(images: Tensor, side: int) -> Tensor:
    """Return images uint8 [n, C, S, S] of values 0 to 255 as float32 of this side, bicubic with antialiasing."""
    pixels = images.float()
    if images.shape[-2:] == (side, side):
        return pixels
    return F.interpolate(pixels, (side, side), mode="bicubic", antialias=True).clamp_(0.0, 255.0)

"""Keep frozen networks that a discriminator looks through: one a process and device, never trained, never saved."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from distal.nets import efficientnet
from distal.registry import Registry


@dataclass(frozen=True)
class Frozen:
    """Name a network whose weights no run changes.

    hash: SHA-256 of its weights; a checkpoint is of one. channels: of its maps, at strides 4, 8, 16 and 32. side: in
    pixels, to which smaller images are enlarged for it. build: makes it on the CPU: a module, and the method of it that
    takes images [n, 1 or 3, H, W] in [-1, 1] to its maps, differentiably.
    """

    hash: str
    channels: tuple[int, ...]
    side: int
    build: Callable[[], tuple[nn.Module, Callable[[Tensor], tuple[Tensor, ...]]]]


def _efficientnet() -> tuple[nn.Module, Callable[[Tensor], tuple[Tensor, ...]]]:
    network = efficientnet.folded(torch.load(efficientnet.weights_file(), map_location="cpu", weights_only=True))
    return network, network.unit_maps


FROZEN: Registry[Frozen] = Registry(
    "net.backbone",
    "frozen network",
    "distal.backbones",
    {"efficientnet_lite0": Frozen(efficientnet.SHA256, efficientnet.CHANNELS, 64, _efficientnet)},
    Frozen,
)


@cache
def placed(frozen: Frozen, device: torch.device) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Return the network's maps as a function, its weights on this device."""
    # Neither the global random state nor, where a scorer is the first to ask, inference mode may have a part in it.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        module, maps = frozen.build()
        module.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    return maps

"""A network that a package could add: DCGAN's (Radford et al. 2016) with its BatchNorms, for 8 px."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from distal.nets import NETWORKS, Network


def body(inputs: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (inputs, 1, 1)),
        nn.ConvTranspose2d(inputs, 8, 4, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, channels, 4, 2, 1),
    )


def trunk(features: int, channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 4, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(8 * 16, features),
    )


@contextmanager
def added() -> Iterator[None]:
    """Register it for a while."""
    NETWORKS.entries["small_dcgan"] = Network(
        lambda net, inputs, size, channels: body(inputs, channels),
        lambda net, size, channels: trunk(net.features, channels),
        convolutional=True,
    )
    try:
        yield
    finally:
        del NETWORKS.entries["small_dcgan"]

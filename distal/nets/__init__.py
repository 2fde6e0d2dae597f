"""Networks by name: a builder turns NetConfig into a generator's body and a discriminator's trunk.

A new network is one entry in NETWORKS (or an entry point in the group ``distal.networks``): two builders and whether
its arithmetic is convolutional, which decides layout and precision. Conditioning, the projection and the classifier
head are the same for all and live in `generator` and `discriminator`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from distal.config import NetConfig
from distal.nets.dense import DenseBody, DenseTrunk
from distal.nets.discriminator import Discriminator
from distal.nets.generator import Generator
from distal.nets.residual import ResidualBody, ResidualTrunk
from distal.nets.weights import initialised
from distal.registry import Registry

__all__ = [
    "NETWORKS",
    "Discriminator",
    "Generator",
    "Network",
    "build_discriminator",
    "build_generator",
    "get_network",
]


@dataclass(frozen=True)
class Network:
    """Name the two builders of a network.

    body: (net, inputs, image_size, channels) to a module [n, inputs] -> raw images [n, C, H, W] (tanh follows).
    trunk: (net, image_size, channels) to a module [n, C, H, W] -> features [n, net.features].
    convolutional: channels-last layout, and bfloat16 where the hardware gains.
    """

    body: Callable[[NetConfig, int, int, int], nn.Module]
    trunk: Callable[[NetConfig, int, int], nn.Module]
    convolutional: bool


NETWORKS: Registry[Network] = Registry(
    "net.name",
    "network",
    "distal.networks",
    {
        "dense": Network(
            body=lambda net, inputs, size, channels: DenseBody(inputs, 8 * net.width, size, channels),
            trunk=lambda net, size, channels: DenseTrunk(8 * net.width, net.features, size, channels),
            convolutional=False,
        ),
        "residual": Network(
            body=lambda net, inputs, size, channels: ResidualBody(inputs, net.width, size, channels),
            trunk=lambda net, size, channels: ResidualTrunk(net.width, net.features, size, channels),
            convolutional=True,
        ),
    },
    Network,
    words=("auto",),
)


def get_network(name: str, image_size: int) -> Network:
    """Return the network of this name; "auto" is dense at 8 px and residual above. ConfigError for an unknown name."""
    return NETWORKS.find(("dense" if image_size <= 8 else "residual") if name == "auto" else name)


def build_generator(net: NetConfig, image_size: int, channels: int, classes: int, seed: int = 0) -> Generator:
    """Build G(z [n, latent_dim], y [n, K]) -> images [n, C, H, W] in [-1, 1], its weights a function of the seed."""
    network = get_network(net.name, image_size)

    def build() -> Generator:
        body = network.body(net, 2 * net.latent_dim, image_size, channels)
        return Generator(body, net.latent_dim, classes)

    return initialised(build, seed, "generator")


def build_discriminator(net: NetConfig, image_size: int, channels: int, classes: int, seed: int = 0) -> Discriminator:
    """Build D with features(x), logits(features, y) and classify(features), its weights a function of the seed."""
    network = get_network(net.name, image_size)

    def build() -> Discriminator:
        return Discriminator(network.trunk(net, image_size, channels), net.features, classes)

    return initialised(build, seed, "discriminator")

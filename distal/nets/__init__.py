"""Networks by name: a builder turns NetConfig into a generator's body and a discriminator's trunk.

A new network is one entry in NETWORKS (or an entry point in the group ``distal.networks``): two builders and whether
its arithmetic is convolutional, which decides layout and precision. Conditioning, the projection and the classifier
head are the same for all and live in `generator` and `discriminator`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from distal.config import NetConfig
from distal.nets.dcgan import DcganBody, DcganTrunk
from distal.nets.dense import DenseBody, DenseTrunk, LayeredBody, LayeredTrunk
from distal.nets.discriminator import Discriminator
from distal.nets.encoder import Encoder
from distal.nets.generator import Generator
from distal.nets.light import LightBody
from distal.nets.projected import ProjectedDiscriminator, ProjectedTrunk
from distal.nets.residual import ResidualBody, ResidualTrunk
from distal.nets.spectral import normalize_
from distal.nets.weights import initialised
from distal.registry import Registry

__all__ = [
    "NETWORKS",
    "Discriminator",
    "Generator",
    "Network",
    "assembled",
    "bare_encoder",
    "build_discriminator",
    "build_encoder",
    "build_generator",
    "get_network",
    "without_frozen",
]


@dataclass(frozen=True)
class Network:
    """Name the two builders of a network.

    body: (net, inputs, image_size, channels) to a module [n, inputs] -> raw images [n, C, H, W] (tanh follows).
    trunk: (net, image_size, channels) to a module [n, C, H, W] -> features [n, net.features].
    convolutional: channels-last layout, and bfloat16 where the hardware gains. discriminator: (trunk, net.features,
    classes, class_judged) to what judges by the trunk. class_scale, class_judged, class_fade, reconstruction,
    learning_rates: what null means at net.class_scale, net.class_judged, model.class_fade, model.reconstruction and
    model.learning_rate_g and _d. penalized: whether a regularizer of weight null on the gradient of D has its default
    weight, not 0.
    """

    body: Callable[[NetConfig, int, int, int], nn.Module]
    trunk: Callable[[NetConfig, int, int], nn.Module]
    convolutional: bool
    discriminator: Callable[[Any, int, int, float], Discriminator] = Discriminator
    class_scale: float = 1.0
    class_judged: float = 1.0
    class_fade: tuple[int, int] = (0, 0)
    reconstruction: float = 0.0
    learning_rates: tuple[float, float] = (5e-4, 5e-4)
    penalized: bool = True


NETWORKS: Registry[Network] = Registry(
    "net.name",
    "network",
    "distal.networks",
    {
        "dense": Network(
            body=lambda net, inputs, size, channels: (
                LayeredBody(inputs, net.units_g, size, channels)
                if net.units_g
                else DenseBody(inputs, 8 * net.width, size, channels)
            ),
            trunk=lambda net, size, channels: (
                LayeredTrunk(net.units_d, net.features, size, channels)
                if net.units_d
                else DenseTrunk(8 * net.width, net.features, size, channels)
            ),
            convolutional=False,
        ),
        "dcgan": Network(
            body=lambda net, inputs, size, channels: DcganBody(inputs, net.width, size, channels),
            trunk=lambda net, size, channels: DcganTrunk(net.width, net.features, size, channels),
            convolutional=True,
            penalized=False,
        ),
        "residual": Network(
            body=lambda net, inputs, size, channels: ResidualBody(inputs, net.width, size, channels),
            trunk=lambda net, size, channels: ResidualTrunk(net.width, net.features, size, channels),
            convolutional=True,
        ),
        "projected": Network(
            body=lambda net, inputs, size, channels: LightBody(inputs, net.width, size, channels),
            trunk=lambda net, size, channels: ProjectedTrunk(net.backbone, net.features),
            convolutional=True,
            discriminator=ProjectedDiscriminator,
            class_judged=0.3,
            reconstruction=50.0,
            learning_rates=(1e-3, 2e-4),
            penalized=False,
        ),
    },
    Network,
    words=("auto",),
)


PHOTOGRAPH = 64
"""The side from which images are taken for photographs by net.name=auto."""


def get_network(name: str, image_size: int) -> Network:
    """Return the network of this name; "auto" is dense at 8 px, residual above, and projected from PHOTOGRAPH on.

    Raises:
        ConfigError: an unknown name.
    """
    own = "dense" if image_size <= 8 else "residual" if image_size < PHOTOGRAPH else "projected"
    return NETWORKS.find(own if name == "auto" else name)


def without_frozen(net: NetConfig, image_size: int) -> NetConfig:
    """Return the section for a model that needs every pixel, for which "auto" is no projected network."""
    return net.model_copy(update={"name": "residual"}) if net.name == "auto" and image_size >= PHOTOGRAPH else net


def assembled(
    net: NetConfig, image_size: int, channels: int, classes: int
) -> tuple[Callable[[], Generator], Callable[[], Discriminator]]:
    """Return what builds G and what builds D, each with its parts and the weights of the classes."""
    network = get_network(net.name, image_size)
    scale = network.class_scale if net.class_scale is None else net.class_scale
    judged = network.class_judged if net.class_judged is None else net.class_judged

    def generator() -> Generator:
        body = network.body(net, 2 * net.latent_dim, image_size, channels)
        return Generator(body, net.latent_dim, classes, scale)

    def discriminator() -> Discriminator:
        D = network.discriminator(network.trunk(net, image_size, channels), net.features, classes, judged)
        if net.spectral_norm:
            normalize_(D, but="head")  # a classifier that may not be sure learns nothing from its pseudo-labels
        return D

    return generator, discriminator


def build_generator(net: NetConfig, image_size: int, channels: int, classes: int, seed: int = 0) -> Generator:
    """Build G(z [n, latent_dim], y [n, K]) -> images [n, C, H, W] in [-1, 1], its weights a function of the seed."""
    return initialised(assembled(net, image_size, channels, classes)[0], seed, "generator")


def build_discriminator(net: NetConfig, image_size: int, channels: int, classes: int, seed: int = 0) -> Discriminator:
    """Build D with features(x), logits(features, y) and classify(features), its weights a function of the seed."""
    return initialised(assembled(net, image_size, channels, classes)[1], seed, "discriminator")


def build_encoder(
    discriminator: Discriminator, image_size: int, channels: int, classes: int, seed: int, latent_dim: int
) -> Encoder:
    """Build `bare_encoder`, its weights a function of the seed."""
    return initialised(lambda: bare_encoder(discriminator, image_size, channels, classes, latent_dim), seed, "encoder")


def bare_encoder(
    discriminator: Discriminator, image_size: int, channels: int, classes: int, latent_dim: int
) -> Encoder:
    """Build what maps what this discriminator sees of images to their latents."""
    with torch.no_grad():
        seen = discriminator.see(torch.zeros(1, channels, image_size, image_size))
    return Encoder([s.shape[1:] for s in seen], channels, classes, latent_dim)

"""Build the distributions of a conditional VAE from any network of the registry: its trunk encodes, its body draws.

Kingma, Mohamed, Rezende, Welling 2014, "Semi-supervised learning with deep generative models", call it M2: p(x | y, z)
decodes, q(z | x, y) and q(y | x) encode. Here both encoders share the trunk, whose features strategies see.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from distal.config import NetConfig
from distal.errors import ConfigError
from distal.nets import Discriminator, Generator, assembled, get_network, without_frozen
from distal.nets.weights import initialised

WIDEST = 12.0
"""Largest logarithm of a latent's variance, either way: exp of more is no number that training gains from."""

LEAST_NOISE = (2 / 255) ** 2 / 12
"""Of sigma^2: what rounding an image in [-1, 1] to uint8 adds, so that nothing is known better."""


class Latents(Protocol):
    """Be what an encoder says of the latents of n images.

    numbers: that it says of each latent. term: what the divergence is called among the losses.
    """

    numbers: ClassVar[int]
    term: ClassVar[str]

    @classmethod
    def of(cls, said: Tensor) -> "Latents":
        """Make it of these numbers, float32 [n, numbers z]."""

    @property
    def mean(self) -> Tensor:
        """Return the likeliest latents, float32 [n, z]."""

    def sample(self, noise: Tensor) -> Tensor:
        """Return latents for standard normal noise [n, z]."""

    def divergence(self) -> Tensor:
        """Return how far it is from N(0, 1), in nats, float32 [n]."""


@dataclass(frozen=True)
class Posterior:
    """Hold q(z | x, y) = N(mean, diag exp log_variance), float32 [n, z] each."""

    mean: Tensor
    log_variance: Tensor
    numbers: ClassVar[int] = 2
    term: ClassVar[str] = "kl"

    @classmethod
    def of(cls, said: Tensor) -> "Posterior":
        """Make it of means and logarithms of variances, side by side."""
        mean, log_variance = said.chunk(2, 1)
        return cls(mean, log_variance.clamp(-WIDEST, WIDEST))

    def sample(self, noise: Tensor) -> Tensor:
        """Return z = mean + deviation * noise for standard normal noise [n, z] (Kingma & Welling 2014)."""
        return self.mean + (0.5 * self.log_variance).exp() * noise

    def divergence(self) -> Tensor:
        """Return KL(q || N(0, 1)) in nats, float32 [n]."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance).sum(1)


class Nets(nn.Module):
    """Encode images [n, C, H, W] in [-1, 1] to features, classes and latents, and decode latents and classes.

    convolutional: whether their arithmetic is, which decides layout and precision. noise: sigma^2 of p(x | y, z) =
    N(decoded, sigma^2), one number for all pixels; not trained but measured. says: what the encoder says.
    """

    noise: Tensor
    says: ClassVar[type[Latents]] = Posterior

    def __init__(self, trunk: nn.Module, features: int, decoder: Generator, convolutional: bool) -> None:
        super().__init__()
        self.trunk, self.decoder, self.convolutional = trunk, decoder, convolutional
        said = self.says.numbers * decoder.latent_dim
        self.posterior_of_features = nn.Linear(features, said)
        self.posterior_of_class = nn.Linear(decoder.classes, said, bias=False)
        self.head = nn.Linear(features, decoder.classes)
        self.register_buffer("noise", torch.ones(()))

    def features(self, x: Tensor) -> Tensor:
        """Return what both encoders see of images, float [n, F]."""
        phi: Tensor = self.trunk(x)
        return phi

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits of q(y | x), float32 [n, K]."""
        logits: Tensor = self.head(features)
        return logits.float()

    def posterior(self, features: Tensor, y: Tensor) -> Latents:
        """Return q(z | x, y) for features [n, F] and classes y [n, K], one-hot or soft."""
        return self.says.of(self.encoded(features, y))

    def encoded(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the numbers that the encoder says, float32 [n, numbers z]."""
        both: Tensor = self.posterior_of_features(features) + self.posterior_of_class(y)
        return both.float()

    def decode(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the mean of p(x | y, z), float32 [n, C, H, W] in [-1, 1]."""
        images: Tensor = self.decoder(z, y)
        return images.float()

    def reconstruction(self, x: Tensor, decoded: Tensor) -> Tensor:
        """Return -ln p(x | y, z) in nats, float32 [n], under the noise as it is known."""
        values = x[0].numel()
        error = (x - decoded).square().flatten(1).sum(1)
        return 0.5 * (values * torch.log(2 * math.pi * self.noise) + error / self.noise)

    def explained(self, x: Tensor, decoded: Tensor, posterior: Latents) -> Tensor:
        """Return how well images are explained, float32 [n]: the bound on ln p(x | y) of a pixel, in nats."""
        return -(self.reconstruction(x, decoded) + posterior.divergence()) / x[0].numel()

    def forward(self, x: Tensor, y: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (-ln p(x | y, z) [n], KL [n], decoded images) for one z of the posterior."""
        posterior = self.posterior(self.features(x), y)
        decoded = self.decode(posterior.sample(noise), y)
        return self.reconstruction(x, decoded), posterior.divergence(), decoded


def build_nets(
    net: NetConfig, image_size: int, channels: int, classes: int, seed: int = 0, kind: type[Nets] = Nets
) -> Nets:
    """Build the networks of `net.name` as `bare_nets` does, their first weights a function of the seed."""
    return initialised(lambda: bare_nets(net, image_size, channels, classes, kind), seed, "vae")


def bare_nets(net: NetConfig, image_size: int, channels: int, classes: int, kind: type[Nets] = Nets) -> Nets:
    """Build the networks of `net.name`.

    Raises:
        ConfigError: an unknown network, or one whose trunk looks through frozen maps, which say too little of pixels.
    """
    net = without_frozen(net, image_size)
    network = get_network(net.name, image_size)
    if network.discriminator is not Discriminator:
        raise ConfigError(
            f"net.name: '{net.name}' looks at images through a frozen network, which does not keep what a decoder "
            "needs.\nTake dense, residual or dcgan."
        )
    decoder = assembled(net, image_size, channels, classes)[0]()
    return kind(network.trunk(net, image_size, channels), net.features, decoder, network.convolutional)

"""Make the networks of a VAE deterministic: the encoder says one latent, and nothing of how sure it is."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from distal.models.vae.networks import Latents, Nets
from distal.models.vae.scorer import VaeScorer


@dataclass(frozen=True)
class Point:
    """Hold the one latent of each image, float32 [n, z], where a VAE has a posterior."""

    mean: Tensor
    numbers: ClassVar[int] = 1
    term: ClassVar[str] = "latents"

    @classmethod
    def of(cls, said: Tensor) -> "Point":
        """Make it of the latents."""
        return cls(said)

    def sample(self, noise: Tensor) -> Tensor:
        """Return the latents, whatever the noise."""
        return self.mean

    def divergence(self) -> Tensor:
        """Return |z|^2 / 2, float32 [n]: the paper's L_z, and -ln N(z; 0, 1) in nats but for a constant."""
        return 0.5 * self.mean.square().sum(1)


class PointNets(Nets):
    """Encode images to features, classes and one latent each, and decode latents and classes."""

    says: ClassVar[type[Latents]] = Point

    def explained(self, x: Tensor, decoded: Tensor, posterior: Latents) -> Tensor:
        """Return minus the mean squared error of a pixel in [-1, 1], float32 [n]."""
        return -(x - decoded).square().flatten(1).mean(1)


class AutoencoderScorer(VaeScorer):
    """Score by deterministic networks."""

    kind: ClassVar[str] = "autoencoder"
    networks: ClassVar[type[Nets]] = PointNets

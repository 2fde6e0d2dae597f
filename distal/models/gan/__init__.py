"""A conditional GAN with a classifier head: `model` holds it, `step` has its losses, `update` makes an update."""

from distal.models.gan.model import GAN

__all__ = ["GAN"]

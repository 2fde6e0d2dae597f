"""A conditional GAN with a classifier head: the model in `model`, one update of it in `step`."""

from distal.models.gan.model import GAN

__all__ = ["GAN"]

"""A conditional GAN with a classifier head: the model in `model`, an update's losses in `step`, the update in `update`."""

from distal.models.gan.model import GAN

__all__ = ["GAN"]

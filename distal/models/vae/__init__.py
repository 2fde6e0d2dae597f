"""A conditional, semi-supervised variational autoencoder with a classifier: `networks`, `step`, `scorer`, `model`."""

from distal.models.vae.model import VAE
from distal.models.vae.step import VaeConfig

__all__ = ["VAE", "VaeConfig"]

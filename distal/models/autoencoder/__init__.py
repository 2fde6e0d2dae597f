"""A conditional, semi-supervised autoencoder with a classifier: `networks`, `density` of its latents, `model`."""

from distal.models.autoencoder.model import Autoencoder, AutoencoderConfig

__all__ = ["Autoencoder", "AutoencoderConfig"]

"""The feature network ``pixels``: the pool's own pixels, for images so small that they say it all (8 x 8 digits)."""

from torch import Tensor

from distal.features.network import FeatureNetwork, FeatureRequest, hash_of


def build_pixels(request: FeatureRequest) -> FeatureNetwork:
    """Build it; features are the pixels divided by 255, [n, C * S * S] of values 0 to 1."""
    width = request.channels * request.image_size**2
    return FeatureNetwork("pixels", hash_of(f"pixels / 255, {width}"), width, None, None, flattened)


def flattened(images: Tensor) -> Tensor:
    """Return the pixels of uint8 [n, C, S, S] as float32 [n, C * S * S] between 0 and 1."""
    return images.flatten(1).float().div_(255.0)

"""An augmentation that a package could add."""

from torch import Tensor

from distal.train.augment import augmentation


@augmentation("fade", draws=1)
def fade(x: Tensor, u: Tensor) -> Tensor:
    """Take up to half of an image's strength."""
    return x * (1 - u / 2)[:, :, None, None]

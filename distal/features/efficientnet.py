"""The feature networks of EfficientNet-Lite0 trained on ImageNet, for photographs of anything.

``efficientnet_lite0`` gives what an image shows: the mean of the last map, 1,280 numbers. ``efficientnet_lite0_scales``
adds how the earlier maps vary over the image: their standard deviation at strides 8, 16 and 32 and their maximum at 16
and 32. A defect is small: it moves the mean of a map little, its spread and its maximum much (as PatchCore, Roth et al.
2022, finds defects in maps of the middle layers; the statistics are those of style, Huang & Belongie 2017, equation 6).
Each part is of unit length, so that none outweighs the others by the size of its numbers. docs/results.md ("The eyes")
has what it gains on four data sets.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from distal.errors import ConfigError
from distal.features.network import FeatureNetwork, FeatureRequest, hash_of, resized, rgb
from distal.nets.efficientnet import CHANNELS, SHA256, WIDTH, EfficientNetLite0, folded, weights_file
from distal.nets.precision import autocast

SIZE = 128  # px; it was trained with 224, which takes three times as long
LEAST_SIZE = 32
SPREAD, EXTREME = (1, 2, 3), (2, 3)
"""The maps, of strides 4 to 32, whose standard deviation and whose maximum are seen."""

SCALES_WIDTH = WIDTH + sum(CHANNELS[place] for place in (*SPREAD, *EXTREME))


def build_efficientnet(request: FeatureRequest, argument: str | None = None) -> FeatureNetwork:
    """Build `efficientnet_lite0`, or `efficientnet_lite0:SIDE` for images of another side than 128 pixels.

    Raises ConfigError where the side is none, or the file of weights is missing or another.
    """
    return _build("efficientnet_lite0", "mean of the last map", WIDTH, EfficientNetLite0.__call__, request, argument)


def build_scales(request: FeatureRequest, argument: str | None = None) -> FeatureNetwork:
    """Build `efficientnet_lite0_scales`, or `efficientnet_lite0_scales:SIDE`; raises as `build_efficientnet`."""
    seen = f"mean of the last map, deviation of {SPREAD}, maximum of {EXTREME}, each of unit length"
    return _build("efficientnet_lite0_scales", seen, SCALES_WIDTH, scales, request, argument)


def scales(network: EfficientNetLite0, x: Tensor) -> Tensor:
    """Return what several strides see of images float32 [n, 3, H, W]: float32 [n, SCALES_WIDTH].

    A part that is the same all over the image, as a deviation over one position is, is zero.
    """
    maps = network.maps(x)
    floats = [found.float() for found in maps]
    spread = [floats[place].flatten(2).std(2, correction=0) for place in SPREAD]
    extreme = [floats[place].amax((2, 3)) for place in EXTREME]
    return torch.cat([normalize(part) for part in (network.pooled(maps[-1]), *extreme, *spread)], 1)


def _build(
    base: str,
    seen: str,
    width: int,
    see: Callable[[EfficientNetLite0, Tensor], Tensor],
    request: FeatureRequest,
    argument: str | None,
) -> FeatureNetwork:
    name = base if argument is None else f"{base}:{argument}"
    size = SIZE if argument is None else _side(name, argument)
    device = request.comm.device
    precision = request.precision()
    network = folded(torch.load(weights_file(), map_location="cpu", weights_only=True))
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(images: Tensor) -> Tensor:
        x = (rgb(resized(images, size)) - 127) / 128
        with autocast(precision, device):
            return see(network, x.contiguous(memory_format=torch.channels_last))

    recipe = f"RGB, {size} px bicubic, (x - 127) / 128, {seen}, {precision}"
    return FeatureNetwork(name, hash_of(SHA256, recipe), width, size, 3, features, network.unit_maps)


def _side(name: str, argument: str) -> int:
    if not argument.isdecimal() or int(argument) < LEAST_SIZE:
        raise ConfigError(
            f"{name}: what follows the colon is the side of its images in pixels, at least {LEAST_SIZE}.\n"
            f"Give {name.partition(':')[0]}:224, or {name.partition(':')[0]} alone for {SIZE}."
        )
    return int(argument)

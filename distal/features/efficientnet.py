"""The feature network ``efficientnet_lite0``: EfficientNet-Lite0 trained on ImageNet, for photographs of anything."""

from typing import cast

import torch
from torch import Tensor

from distal.errors import ConfigError
from distal.features.network import FeatureNetwork, FeatureRequest, hash_of, resized, rgb
from distal.nets.efficientnet import SHA256, WIDTH, folded, weights_file
from distal.nets.precision import autocast

SIZE = 128  # px; it was trained with 224, which takes three times as long
LEAST_SIZE = 32


def build_efficientnet(request: FeatureRequest, argument: str | None = None) -> FeatureNetwork:
    """Build `efficientnet_lite0`, or `efficientnet_lite0:SIDE` for images of another side than 128 pixels.

    Raises ConfigError where the side is none, or the file of weights is missing or another.
    """
    size = SIZE if argument is None else _side(argument)
    device = request.comm.device
    precision = request.precision()
    network = folded(torch.load(weights_file(), map_location="cpu", weights_only=True))
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(images: Tensor) -> Tensor:
        x = (rgb(resized(images, size)) - 127) / 128
        with autocast(precision, device):
            return cast(Tensor, network(x.contiguous(memory_format=torch.channels_last)))

    name = "efficientnet_lite0" if argument is None else f"efficientnet_lite0:{argument}"
    recipe = f"RGB, {size} px bicubic, (x - 127) / 128, mean of the last map, {precision}"
    return FeatureNetwork(name, hash_of(SHA256, recipe), WIDTH, size, 3, features, network.unit_maps)


def _side(argument: str) -> int:
    if not argument.isdecimal() or int(argument) < LEAST_SIZE:
        raise ConfigError(
            f"efficientnet_lite0:{argument}: what follows the colon is the side of its images in pixels, at least "
            f"{LEAST_SIZE}.\nGive efficientnet_lite0:224, or efficientnet_lite0 alone for {SIZE}."
        )
    return int(argument)

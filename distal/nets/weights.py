"""Give modules their first weights from a named stream, and pack weights into bytes that hold nothing executable."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from distal import streams
from distal.errors import RunError

M = TypeVar("M", bound=nn.Module)

RESIDUAL_OUT = "residual_out"
"""Name of the last layer of a residual branch: it starts at zero, so that a deep net starts as a shallow one
(Fixup, Zhang et al. 2019; SkipInit, De & Smith 2020), which is what makes normalisation layers unnecessary."""


def initialised(build: Callable[[], M], seed: int, *name: streams.Name) -> M:
    """Build a module whose weights are a function of the seed and the name alone.

    Every parameter is normal with variance 1 / fan-in (2 / fan-in where a rectifier follows is left to the layers'
    own gain: with residual branches starting at zero the difference is one constant), biases are zero, and branches
    named `residual_out` start at zero. The global random state is neither read nor changed.
    """
    with torch.device("meta"):
        module = build()
    # What to_empty() does, but for empty_like() of a meta tensor, which imports sympy: half a second in every actor.
    module = module._apply(lambda t: torch.empty(t.shape, dtype=t.dtype))  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for key, parameter in module.named_parameters():
            parts = key.split(".")
            if parts[-1] == "bias" or RESIDUAL_OUT in parts:
                parameter.zero_()
            else:
                fan_in = parameter[0].numel()
                parameter.copy_(streams.normal(tuple(parameter.shape), seed, "init", *name, key) * fan_in**-0.5)
    return module


def pack(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any] | None = None) -> bytes:
    """Return safetensors bytes of the tensors, with a JSON header."""
    plain = {key: t.detach().to("cpu").contiguous() for key, t in tensors.items()}
    # contiguous() keeps a channels-last tensor's values in NCHW order, which is what safetensors stores.
    data: bytes = save(plain, metadata={"distal": json.dumps(dict(header or {}), sort_keys=True)})
    return data


def unpack(data: bytes) -> dict[str, torch.Tensor]:
    """Return the tensors of `pack`'s bytes, on the CPU. RunError where they are none."""
    try:
        tensors: dict[str, torch.Tensor] = load(data)
    # ValueError, RuntimeError and KeyError come of headers whose types or lengths torch does not know.
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise RunError(f"no safetensors: {' '.join(str(error).split())[:100]}") from None
    return tensors


def header_of(data: bytes) -> dict[str, Any]:
    """Return the JSON header of `pack`'s bytes: 8 bytes of length, then safetensors' own JSON."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    header: dict[str, Any] = json.loads(metadata.get("distal", "{}"))
    return header

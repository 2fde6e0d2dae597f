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
from distal.nets.batchnorm import globalized

M = TypeVar("M", bound=nn.Module)

RESIDUAL_OUT = "residual_out"
"""Name of the last layer of a residual branch: it starts at zero, so that a deep net starts as a shallow one
(Fixup, Zhang et al. 2019; SkipInit, De & Smith 2020), which is what makes normalisation layers unnecessary."""


def initialised(build: Callable[[], M], seed: int, *name: streams.Name) -> M:
    """Build a module whose weights and buffers are a function of the seed and the name alone.

    A plain Linear or Conv2d is normal with variance 1 / fan-in (2 / fan-in where a rectifier follows is left to the
    layers' own gain: with residual branches starting at zero the difference is one constant), its bias zero; it is all
    zero within a branch named `residual_out`. Any other layer, a subclass of these included, starts as its own
    constructor and `reset_parameters` say, under a torch generator seeded from the same stream. The global random state
    is neither read nor changed. A BatchNorm becomes one over the global batch.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(streams.stream(seed, "init", *name).integers(2**63)))
        module = build()
    globalized(module)
    with torch.no_grad():
        for path, layer in module.named_modules():
            if type(layer) not in (nn.Linear, nn.Conv2d):
                continue
            for key, parameter in layer.named_parameters(path, recurse=False):
                if key.endswith("bias") or RESIDUAL_OUT in key.split("."):
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


def pack_files(files: Mapping[str, bytes], header: Mapping[str, Any] | None = None) -> bytes:
    """Return `pack`'s bytes of whole files by name."""
    return pack({name: torch.frombuffer(bytearray(own), dtype=torch.uint8) for name, own in files.items()}, header)


def unpack_files(data: bytes) -> dict[str, bytes]:
    """Return the files of `pack_files`. RunError where the bytes are none of `pack`'s."""
    return {name: own.numpy().tobytes() for name, own in unpack(data).items()}


def header_of(data: bytes) -> dict[str, Any]:
    """Return the JSON header of `pack`'s bytes: 8 bytes of length, then safetensors' own JSON."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    header: dict[str, Any] = json.loads(metadata.get("distal", "{}"))
    return header

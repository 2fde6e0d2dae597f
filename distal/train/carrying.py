"""Carry tensors to a GPU without waiting for it: several as one buffer of pinned memory, on a stream of their own.

A plain copy waits until all that the GPU was asked for before is done, and then the GPU waits for the next request.
From pinned memory it is carried out beside the work; who uses what arrived has the GPU wait for it, not the process.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor

ALIGNMENT = 64
"""Bytes that each tensor begins at a multiple of, as kernels that read vectors like it."""

K = TypeVar("K", bound=Hashable)


def carried(tensor: Tensor, device: torch.device) -> Tensor:
    """Return one tensor of the host on a device, behind what that was asked for before; nothing is waited for."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Packed:
    """Hold tensors by name in one buffer, uint8 [m]. places: of each its first byte, type and shape."""

    buffer: Tensor
    places: Mapping[Hashable, tuple[int, torch.dtype, torch.Size]]

    @classmethod
    def of(cls, tensors: Mapping[K, Tensor], pinned: bool) -> "Packed":
        """Copy tensors of the host into one buffer; pinned: from which a GPU reads by itself."""
        places: dict[Hashable, tuple[int, torch.dtype, torch.Size]] = {}
        end = 0
        for name, tensor in tensors.items():
            places[name] = (end, tensor.dtype, tensor.shape)
            end += -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT
        packed = cls(torch.empty(end, dtype=torch.uint8, pin_memory=pinned), places)
        for place, tensor in zip(packed.tensors().values(), tensors.values(), strict=True):
            # By numpy, which copies in this thread alone and lets go of the interpreter meanwhile.
            place.numpy()[...] = tensor.numpy()
        return packed

    def tensors(self) -> dict[Hashable, Tensor]:
        """Return the tensors by name, where they lie."""
        return {
            name: self.buffer[first : first + shape.numel() * dtype.itemsize].view(dtype).view(shape)
            for name, (first, dtype, shape) in self.places.items()
        }


class Carrier:
    """Send tensors to a GPU from any thread, one copy a call, beside the work of the stream that computes."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._stream = device, torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def send(self, tensors: Mapping[K, Tensor]) -> Callable[[], dict[Hashable, Tensor]]:
        """Begin to copy tensors of the host; what is returned gives them, in order with what the GPU does then."""
        with torch.cuda.stream(self._stream):  # and of its GPU: a thread begins on the first one
            packed = Packed.of(tensors, pinned=True)
            buffer = packed.buffer.to(self._device, non_blocking=True)
            sent = self._stream.record_event()

        def receive() -> dict[Hashable, Tensor]:
            here = torch.cuda.current_stream(self._device)
            here.wait_event(sent)
            buffer.record_stream(here)  # its memory is the other stream's, which must not reuse it before
            return replace(packed, buffer=buffer).tensors()

        return receive


@cache
def carrier(device: torch.device) -> Carrier:
    """Return this process's carrier to a GPU."""
    return Carrier(device)

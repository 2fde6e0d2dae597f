"""Let the ranks of a data-parallel run agree: broadcast, gather and sum, over torch.distributed or trivially alone.

Rank 0 decides; the others wait on a broadcast. Gradients are summed by hand in one flat bucket after each phase of an
update, because two models with gradient penalties and DDP's hooks do not go together (pytorch#47562).
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist

from distal.errors import DistalError

EXCHANGE_S = 600.0
"""How long a rank waits for the others' gradients. They come within a step of each other, apart from rows that a lost
shard's stand-in decodes, and a store that is waited for on rank 0: minutes at most."""

T = TypeVar("T")


class Communicator(Protocol):
    """Connect `size` ranks, each with its own device."""

    rank: int
    size: int
    device: torch.device

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's picklable value on every rank."""

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's picklable value, in rank order, on every rank."""

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, in one flat exchange a dtype."""


class Alone:
    """Be the only rank."""

    rank = 0
    size = 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    def broadcast(self, value: Any) -> Any:
        """Return the value."""
        return value

    def gather(self, value: Any) -> list[Any]:
        """Return the value as the only one."""
        return [value]

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Leave the tensors as they are."""


class ProcessGroup:
    """Be one rank of torch.distributed: control by its default group, which has to be gloo, tensors by one beside it.

    Who waits for rank 0, which scores pools and waits for people, waits as patiently as the default group was made, and
    idly: a rank that waited in NCCL would keep its GPU busy for as long. Tensors go over nccl between GPUs, else gloo,
    and are waited for no longer than `exchange_s` seconds: a network that hangs ends the group then, not the night.
    """

    def __init__(self, device: torch.device | str = "cpu", exchange_s: float = EXCHANGE_S) -> None:
        self.device = torch.device(device)
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()
        backend = "nccl" if self.device.type == "cuda" else "gloo"
        self._exchange = dist.new_group(backend=backend, timeout=timedelta(seconds=exchange_s))
        self._exchange_s = exchange_s

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's picklable value on every rank."""
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's picklable value, in rank order, on every rank."""
        box: list[Any] = [None] * self.size
        dist.all_gather_object(box, value)
        return box

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, in one flat exchange a dtype.

        Raises:
            RuntimeError: another rank has died, or was not there in time; over nccl that ends this process as well.
        """
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            group = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in group])
            try:
                dist.all_reduce(flat, group=self._exchange)
            except RuntimeError as error:
                raise RuntimeError(
                    f"rank {self.rank} got no sum from the other {self.size - 1}, awaited for {self._exchange_s:g} s: "
                    f"one of them, its node or the network has died or hangs ({str(error)[-80:]})"
                ) from error
            totals = torch.split(flat, [t.numel() for t in group])
            torch._foreach_copy_(group, [total.view_as(t) for total, t in zip(totals, group, strict=True)])


class _Sum(torch.autograd.Function):
    """Sum over the ranks. A rank's rows change the sum, and so every rank's loss: backward sums as well."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, comm: Communicator) -> torch.Tensor:
        ctx.comm = comm
        total = tensor.clone(memory_format=torch.contiguous_format)
        comm.sum_([total])
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return summed(gradient, ctx.comm), None


def summed(tensor: torch.Tensor, comm: Communicator) -> torch.Tensor:
    """Return the sum of a tensor over the ranks, differentiable any number of times; every rank must ask for it."""
    if comm.size == 1:
        return tensor
    total: torch.Tensor = _Sum.apply(tensor, comm)  # type: ignore[no-untyped-call]
    return total


def on_first_rank(comm: Communicator, make: Callable[[], T]) -> T:
    """Return what rank 0 makes on every rank; where it raises a DistalError, every rank raises it.

    Another exception ends rank 0 alone: its process fails, and with it the group.
    """
    value: T | None = None
    failure: DistalError | None = None
    if comm.rank == 0:
        try:
            value = make()
        except DistalError as error:
            failure = error
    value, failure = comm.broadcast((value, failure))
    if failure is not None:
        failure.on_every_rank = True
        raise failure
    return value

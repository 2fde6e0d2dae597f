"""Divide members that learn independently among the ranks: each trains its own, and hears of the others' when asked.

There are two communicators then: `within` a member, of the ranks that share its batches, and `across` members, of the
ranks that train others. One of the two is always of one rank.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from distal.communicator import Alone, Communicator
from distal.models.ensemble.section import EnsembleConfig
from distal.models.protocol import Model
from distal.nets.batchnorm import connect
from distal.nets.weights import pack_files, unpack_files


def divided(own: EnsembleConfig, comm: Communicator) -> tuple[Communicator, Communicator]:
    """Return (within, across): whole members for each rank where there are enough that learn independently.

    Else all ranks train every member together, or those that were left over would wait.
    """
    independent = own.how in ("bagging", "seeds") and own.members >= comm.size
    alone = Alone(comm.device)
    return (alone, comm) if independent else (comm, alone)


def trained_here(members: int, across: Communicator) -> range:
    """Return which members this rank trains."""
    return range(across.rank, members, across.size)


def connect_all(members: Sequence[Model], within: Communicator) -> None:
    """Let the members' BatchNorms normalize over the ranks that share a member's batches."""
    for member in members:
        for module in member.modules().values():
            connect(module, within)


def mean_losses(done: Mapping[int, Mapping[str, Tensor]], members: int, across: Communicator) -> dict[str, Tensor]:
    """Return the mean over all members of each loss by name, the same bits on every rank and on any number of them.

    done: the losses, float [], of the members that this rank trains, by member. One exchange of a few numbers; a loss
    that is not finite is so on every rank.
    """
    first = next(iter(done.values()))
    names = list(first)
    table = torch.zeros(members, len(names), device=first[names[0]].device)
    for member, losses in done.items():
        table[member] = torch.stack([losses[name].float() for name in names])
    across.sum_([table])  # of one number and zeros each, which is exact
    return dict(zip(names, table.mean(0).unbind(), strict=True))


def gathered(members: Sequence[Model], across: Communicator, shape: tuple[int, int, int]) -> list[Model]:
    """Return every member as the rank that trains it has it; every rank calls this.

    As many members are held as bytes at a time as there are ranks. shape: image size, channels, classes.
    """
    current = list(members)
    for first in range(0, len(members), across.size):
        mine = first + across.rank
        packed = pack_files(members[mine].to_files()) if mine < len(members) else b""
        for member, stale in enumerate(members[first : first + across.size], first):
            told = _told(packed if member == mine else b"", across, stale.device)
            if member != mine:
                current[member] = type(stale).from_files(stale.config, unpack_files(told), stale.device, shape)
    return current


def _told(data: bytes, across: Communicator, device: torch.device) -> bytes:
    """Return on every rank the bytes that one of them has, and the others none.

    By sums: a rank that hangs is waited for as long as for gradients then, and not for the week of what is broadcast.
    """
    size = torch.tensor([len(data)], device=device)
    across.sum_([size])
    whole = torch.zeros(int(size), dtype=torch.uint8, device=device)
    if data:
        whole.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
    across.sum_([whole])
    return whole.cpu().numpy().tobytes()

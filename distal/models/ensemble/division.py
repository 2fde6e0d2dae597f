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

    As many members travel at a time as there are ranks, each as the files of its checkpoint. shape: image size,
    channels, classes.
    """
    current = list(members)
    for first in range(0, len(members), across.size):
        mine = first + across.rank
        files = members[mine].to_files() if mine < len(members) else {}
        for member, told in enumerate(across.gather(files)[: len(members) - first], first):
            if member != mine:
                stale = members[member]
                current[member] = type(stale).from_files(stale.config, told, stale.device, shape)
    return current

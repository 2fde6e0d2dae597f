"""Say what a strategy is that needs something of the whole pool before it can choose.

A score needs its row alone, and greedy selection (`distal.query.batch`) its row and the picks. What needs more, such as
a sample that all shards share, ranks over the whole pool or a count a class, is a conversation: the coordinator calls
methods of every shard's state, a few times, and answers and arguments are O(k) or O(labels), never O(pool).
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from distal.query.batch import Ask, best
from distal.query.view import Doubles, Ints, View


class Staged(Protocol):
    """Be a staged strategy, registered with `staged_strategy`; made without arguments on shards and coordinator."""

    def open(self, view: View) -> Any:
        """Open the state of a shard. What its methods return is O(k) and picklable."""

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Return k row ids in pick order, and their scores; k is at most the number of available rows."""


@dataclass(frozen=True)
class Leaders:
    """Carry rows by (key descending, row id ascending), with what else is told of them, one row each in `more`."""

    row_ids: Ints
    keys: Doubles
    more: tuple[npt.NDArray[Any], ...] = ()

    @property
    def nbytes(self) -> int:
        """Return the payload's size in bytes."""
        return self.row_ids.nbytes + self.keys.nbytes + sum(array.nbytes for array in self.more)

    def take(self, positions: Ints) -> "Leaders":
        """Return the rows at these positions."""
        return Leaders(self.row_ids[positions], self.keys[positions], tuple(array[positions] for array in self.more))


def lead(view: View, keys: Doubles, count: int, *more: torch.Tensor, among: Ints | None = None) -> Leaders:
    """Return a shard's `count` available rows of largest key [n], with these tensors' rows; among: these positions."""
    positions = np.flatnonzero(view.available) if among is None else among
    positions = positions[best(keys[positions], count)]
    where = torch.from_numpy(positions)
    told = tuple(tensor[where.to(tensor.device)].cpu().numpy() for tensor in more)
    return Leaders(view.row_ids[positions], keys[positions].astype(np.float64), told)


def merge(parts: list[Leaders], count: int) -> Leaders:
    """Return the `count` rows of largest key over all shards."""
    everything = Leaders(
        np.concatenate([part.row_ids for part in parts]),
        np.concatenate([part.keys for part in parts]),
        tuple(np.concatenate(arrays) for arrays in zip(*(part.more for part in parts), strict=True)),
    )
    ascending = np.argsort(everything.row_ids, kind="stable")
    return everything.take(ascending[best(everything.keys[ascending], count)])


def size(payload: Any) -> int:
    """Return the bytes of arrays and of what says its own, in lists and tuples, 8 of a number."""
    if isinstance(payload, (list, tuple)):
        return sum(size(item) for item in payload)
    return int(getattr(payload, "nbytes", 8))

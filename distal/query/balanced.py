"""Spread a batch over the classes that the model predicts, whatever strategy chooses within each."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from distal.query.batch import Ask
from distal.query.registry import Parts, Strategy, modifier
from distal.query.selection import select
from distal.query.selector import Selector
from distal.query.view import Doubles, Ints, View


def quotas(labels: Ints, room: Ints, k: int) -> Ints:
    """Deal out k picks one at a time, int64 [K], each to the class of fewest labels and picks that has room for it.

    labels, room: int64 [K], labels of a class, and rows that may be asked and are predicted to be of it. The lowest
    class goes first of equals.
    """
    given = np.zeros(len(room), dtype=np.int64)
    waiting = [(int(labels[c]), c) for c in range(len(room)) if room[c]]
    heapq.heapify(waiting)
    while waiting and given.sum() < k:
        have, c = heapq.heappop(waiting)
        given[c] += 1
        if given[c] < room[c]:
            heapq.heappush(waiting, (have + 1, c))
    return given


class Divided:
    """Be a shard whose rows are shown to a strategy one predicted class at a time."""

    def __init__(self, view: View, strategy: Strategy) -> None:
        self.view = replace(view, tensors={name: t for name, t in view.tensors.items() if name in strategy.tensors})
        self.strategy = strategy
        self.classes = view.need("probs").shape[1]
        self.predicted = view.need("probs").argmax(1).cpu().numpy()
        if strategy.kind == "score":  # of which one pass is enough
            scores = Selector(self.view, strategy).scores()
            self.strategy = replace(strategy, make=lambda view: scores)
        self.selector: Selector | None = None

    def room(self) -> tuple[Ints, Ints]:
        """Return the labels of each class in the run, and the available rows that are predicted to be of it."""
        room = np.bincount(self.predicted[self.view.available], minlength=self.classes)
        return self.view.class_counts if len(self.view.class_counts) else np.zeros_like(room), room

    def show(self, predicted: int) -> None:
        """Let the strategy choose among the rows of one predicted class from here on."""
        only = replace(self.view, available=self.view.available & (self.predicted == predicted))
        self.selector = Selector(only, self.strategy)

    def call(self, method: str, *args: Any) -> Any:
        """Pass a call of the selection on."""
        return getattr(self.selector, method)(*args)


@dataclass(frozen=True)
class Within:
    """Reach what the shards show, as a `distal.query.selection.ShardGroup`."""

    ask: Ask

    def call(self, method: str, *args: Any) -> list[Any]:
        """Invoke a method of every shard's Selector."""
        return self.ask("call", method, *args)


class ClassBalanced:
    """Give each predicted class a quota, and let a strategy choose within it.

    Labels and picks of a class shall come out as even as they can (`quotas`), so rare classes get the batch while there
    are rows that look like them: the greedy form, with the model's own prediction for the label, of the integer program
    of Bengar, van de Weijer, Lopez Fuentes, Raducanu 2022, Class-Balanced Active Learning, section 3. Scores are the
    inner strategy's. One selection a class.
    """

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    def open(self, view: View) -> Divided:
        """Divide the rows by predicted class."""
        return Divided(view, self.strategy)

    def choose(self, ask: Ask, k: int, seed: int, round: int) -> tuple[Ints, Doubles]:
        """Deal out the quotas, then choose class after class; the first picks of all classes come first."""
        counted = ask("room")
        given = quotas(counted[0][0], np.sum([room for _, room in counted], axis=0), k)
        picks: list[tuple[int, int, int, float]] = []
        for c in np.flatnonzero(given):
            ask("show", int(c))
            chosen = select(Within(ask), self.strategy, int(given[c]), seed, round)
            told = zip(chosen.row_ids, chosen.scores, strict=True)
            picks += [(place, int(c), int(row_id), float(score)) for place, (row_id, score) in enumerate(told)]
        picks.sort()
        return np.array([pick[2] for pick in picks], dtype=np.int64), np.array([pick[3] for pick in picks])


@modifier("class_balanced")
def class_balanced(name: str, parts: Parts) -> Strategy:
    """Return the strategy that gives every predicted class its quota."""
    ((_, strategy),) = parts
    make: Callable[..., Any] = partial(ClassBalanced, strategy)
    return Strategy(name, strategy.needs | {"probs"}, "staged", make)

"""Decide which strategy runs in the next round, by the labels of each class so far: `query.strategy: auto`.

1. *search*, while a class has no label and less than EXPLORED of the budget is spent: `coreset`. A class that was never
   seen has no probability, but its images lie far from those that were.
2. *refine*, from then on: `margin` where the labels are uneven, the rarest class having less than UNEVEN of an even
   share, and `badge` where they are not.

A class that no strategy finds ends the search at EXPLORED, not never. A later batch may bring the counts to even or
away from it, and the strategy changes with them: labels decide, not the round.

Seen with scikit-learn's logistic regression on frozen features, 2 or 3 seeds (`benchmarks/discovery.py curves` is the
measurement with distal's own probe): from the first label `margin` is behind `random` on CIFAR-10, and `coreset` is on
MNIST; on magnetic_tile, seven in ten of one class, `coreset` finds all six classes first and `margin` learns most from
there; on even classes `badge` is at least about as good as `random`. `search` is no part of it: the likeliest images
of a class are what its user wants to have, and teach a classifier less than the doubtful ones (magnetic_tile, 120
labels: balanced accuracy 0.50 by an early form of `search`, 0.71 by these phases).
"""

from dataclasses import dataclass

import numpy as np

from distal.query.registry import STRATEGIES, Strategy
from distal.query.view import Ints

EXPLORED = 0.25
UNEVEN = 0.5


@dataclass(frozen=True)
class Phase:
    """Name a phase, the strategy that runs in it, and why, in one sentence."""

    name: str
    strategy: str
    why: str


def choose_phase(class_counts: Ints, asked: int, budget: int) -> Phase:
    """Return the phase of the next round.

    class_counts: int64 [K], labels of each class. asked: rows asked so far, of `budget` in all.
    """
    classes, labels = len(class_counts), int(class_counts.sum())
    unseen = int((class_counts == 0).sum())
    if unseen and asked < EXPLORED * budget:
        return Phase("search", "coreset", f"{unseen} of {classes} classes have no label yet")
    rarest = int(np.argmin(class_counts)) if classes else 0
    if classes and class_counts[rarest] * classes < UNEVEN * labels:
        why = f"the rarest class, number {rarest}, has {class_counts[rarest]} of {labels} labels"
        return Phase("refine", "margin", why)
    return Phase("refine", "badge", f"no class has less than half of an even share of {labels} labels")


STRATEGIES.add("auto", Strategy("auto", frozenset({"gradients"}), "phased", choose_phase), choose_phase)

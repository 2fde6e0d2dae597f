"""Train the classifiers of one of the gate's seeds, set by set: each a function of evidence and training, run anywhere.

`in_turn` runs them in this thread. Whoever has more than one core gives `prove` another `Carry`; the figures are the
same, for a training draws from streams named by the gate's seed and by the set alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from distal.nets.threads import one_thread
from distal.prove.arms import Evidence, Examples, fractions, pseudo_labeled, stream
from distal.prove.classifier import Bools, Classifier, Floats, halves

LABELS, AUGMENTED, IMAGES, PSEUDO = ARMS = ("labels", "augmented", "images", "pseudo")
SHARES = (0.35, 0.5, 0.7)
"""The learning curve's points below all labels."""

CURVE = tuple(f"{share:.0%} of the labels" for share in SHARES)


class Fitted(Protocol):
    """Be a classifier that has learned, maybe at several strengths of a penalty."""

    def probs(self, features: Tensor, /) -> Tensor:
        """Return class probabilities float64 [strengths, n, K]."""

    def held_out_probs(self, held_out: Examples, first: Bools) -> tuple[Floats, int]:
        """Return what is said of each held-out image [n, K], none of it chosen on that image; and a strength."""


Learner = Callable[[Examples, int, bool, int], Fitted]
"""Takes what to learn from, the number of classes, whether it may vary what it sees, and the gate's seed."""


@dataclass(frozen=True)
class Training:
    """Name what is trained: one of the gate's seeds, and a set of ARMS or CURVE.

    The pseudo-labels are what the classifier of the labels alone says, so LABELS trains both.
    """

    seed: int
    on: str


Said = dict[str, Floats]
"""By the name of a set, what its classifier says of each held-out image, float32 [n, K]."""

Carry = Callable[[Evidence, Learner, Sequence[Training]], list[Said]]
"""Runs trainings and returns what each came to, in their order."""


def trainings(seeds: int) -> list[Training]:
    """Return all trainings of the gate for one kind of classifier."""
    return [Training(seed, on) for seed in range(seeds) for on in (LABELS, AUGMENTED, IMAGES, *CURVE)]


def on_features(train: Examples, classes: int, varied: bool, seed: int) -> Fitted:
    """Fit the logistic regression on frozen features, which needs no seed; what is varied is there already."""
    return Classifier(train, classes)


def carry_out(evidence: Evidence, learner: Learner, training: Training) -> Said:
    """Train a set's classifier and say of each held-out image what it says."""
    labeled, held_out, classes = evidence.labeled, evidence.held_out, len(evidence.classes)
    seed, on = training.seed, training.on
    first = halves(held_out.labels, stream(evidence, seed, "halves"))

    def tested(train: Examples, varied: bool = True) -> Floats:
        return learner(train, classes, varied, seed).held_out_probs(held_out, first)[0]

    with one_thread():
        if on in CURVE:
            rows = list(fractions(labeled.labels, SHARES, stream(evidence, seed, "curve")))[CURVE.index(on)]
            return {on: tested(labeled.take(rows), varied=False)}
        if on != LABELS:
            added = evidence.augmented if on == AUGMENTED else evidence.images
            return {on: tested(labeled + added.resampled(stream(evidence, seed, on)))}
        alone = learner(labeled, classes, False, seed)
        probs, strength = alone.held_out_probs(held_out, first)
        sure = alone.probs(evidence.pool)[strength]
        pseudo = pseudo_labeled(evidence.pool, sure, evidence.wanted, stream(evidence, seed, PSEUDO))
        return {LABELS: probs, PSEUDO: tested(labeled + pseudo)}


def in_turn(evidence: Evidence, learner: Learner, trainings: Sequence[Training]) -> list[Said]:
    """Run trainings one after another in this thread."""
    return [carry_out(evidence, learner, training) for training in trainings]

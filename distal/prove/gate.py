"""Train each set's classifier for several seeds, test all on the same held-out images, and compare them in pairs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from distal.errors import EvaluationError
from distal.metrics.classification import average_precision, class_scores
from distal.metrics.comparison import Resamples, gain_of_more
from distal.nets.threads import one_thread
from distal.prove.arms import Evidence, Examples, fractions, pseudo_labeled, stream
from distal.prove.classifier import Bools, Classifier, halves

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LABELS, AUGMENTED, IMAGES, PSEUDO = ARMS = ("labels", "augmented", "images", "pseudo")
SHARES = (0.35, 0.5, 0.7)
"""The learning curve's points below all labels."""


class Fitted(Protocol):
    """Be a classifier that has learned, maybe at several strengths of a penalty."""

    def probs(self, features: Tensor, /) -> Tensor:
        """Return class probabilities float64 [strengths, n, K]."""

    def held_out_probs(self, held_out: Examples, first: Bools) -> tuple[Floats, int]:
        """Return what is said of each held-out image [n, K], none of it chosen on that image; and a strength."""


Learner = Callable[[Examples, int, bool, int], Fitted]
"""Takes what to learn from, the number of classes, whether it may vary what it sees, and the gate's seed."""


def on_features(train: Examples, classes: int, varied: bool, seed: int) -> Fitted:
    """Fit the logistic regression on frozen features, which needs no seed; what is varied is there already."""
    return Classifier(train, classes)


@dataclass(frozen=True)
class Group:
    """Name classes that are scored together, by the mean of their scores. kind: all, rare or class."""

    kind: str
    name: str
    members: tuple[int, ...]


@dataclass(frozen=True)
class Proof:
    """Hold what came out: of each set and score the draws, float64 [B, G], draw 0 being the estimate itself.

    further: [B, G], by how much recall is estimated to rise with the labels of the same price. untested: classes that
    no held-out image is of.
    """

    evidence: Evidence
    groups: tuple[Group, ...]
    untested: tuple[str, ...]
    scores: dict[str, dict[str, Doubles]]
    further: Doubles
    seeds: int


def prove(evidence: Evidence, seeds: int, learner: Learner = on_features) -> Proof:
    """Compare the sets of the evidence, by what a learner makes of each.

    Raises:
        EvaluationError: fewer than two classes have labels, or no held-out image has one.
    """
    require_evidence(evidence.labeled.labels, evidence.held_out.labels)
    said: dict[str, list[Floats]] = {arm: [] for arm in ARMS}
    curve: list[list[Floats]] = [[] for _ in SHARES]
    with one_thread():
        for seed in range(seeds):
            _one_seed(evidence, learner, seed, said, curve)
    labels, groups = evidence.held_out.labels, _groups(evidence)
    draws = Resamples.draw(labels, seeds, evidence.seed)

    def together(scores: Doubles) -> Doubles:
        return draws.over_seeds(np.stack([scores[..., list(group.members)].mean(-1) for group in groups], -1))

    scores = {}
    for arm, probs in said.items():
        by_class = class_scores(np.stack(probs), labels, draws.images)
        by_class["auprc"] = average_precision(np.stack(probs), labels, draws.images)
        scores[arm] = {name: together(values) for name, values in by_class.items()}
    recalls = [class_scores(np.stack(probs), labels, draws.images)["recall"] for probs in curve]
    errors = 1 - np.stack([*map(together, recalls), scores[LABELS]["recall"]])
    labeled = evidence.labeled.labels
    numbers = np.array([*map(len, fractions(labeled, SHARES, stream(evidence, 0, "curve"))), len(labeled)])
    untested = tuple(name for c, name in enumerate(evidence.classes) if c not in labels)
    further = gain_of_more(errors, numbers, evidence.price)
    return Proof(evidence, groups, untested, scores, further, seeds)


def require_evidence(labels: Ints, held_out: Ints) -> None:
    """Refuse labels [m] of the run and of the held-out images [n] that nothing can be learned or said of.

    Raises:
        EvaluationError: fewer than two classes have labels, or no held-out image has one.
    """
    if len(np.unique(labels)) < 2:
        raise EvaluationError(
            f"the run's {len(labels)} labels are of fewer than two classes, so there is no classifier to compare.\n"
            "Label more first: distal resume RUN rounds=..."
        )
    if not len(held_out):
        raise EvaluationError(
            "none of the held-out images has a label, so no classifier can be tested on them.\n"
            "Give labeled ones that nothing was trained on: evaluate.path=test.parquet (evaluate.label_column names "
            "their labels)."
        )


def _one_seed(
    evidence: Evidence, learner: Learner, seed: int, said: dict[str, list[Floats]], curve: list[list[Floats]]
) -> None:
    """Train every set's classifier and add what each says of the held-out images."""
    labeled, held_out, classes = evidence.labeled, evidence.held_out, len(evidence.classes)
    first = halves(held_out.labels, stream(evidence, seed, "halves"))

    def tested(train: Examples, varied: bool = True) -> Floats:
        return learner(train, classes, varied, seed).held_out_probs(held_out, first)[0]

    alone = learner(labeled, classes, False, seed)
    probs, strength = alone.held_out_probs(held_out, first)
    said[LABELS].append(probs)
    said[AUGMENTED].append(tested(labeled + evidence.augmented.resampled(stream(evidence, seed, AUGMENTED))))
    said[IMAGES].append(tested(labeled + evidence.images.resampled(stream(evidence, seed, IMAGES))))
    sure = alone.probs(evidence.pool)[strength]
    pseudo = pseudo_labeled(evidence.pool, sure, evidence.wanted, stream(evidence, seed, PSEUDO))
    said[PSEUDO].append(tested(labeled + pseudo))
    for place, rows in enumerate(fractions(labeled.labels, SHARES, stream(evidence, seed, "curve"))):
        curve[place].append(tested(labeled.take(rows), varied=False))


def _groups(evidence: Evidence) -> tuple[Group, ...]:
    """Return all classes, the rare ones (those below an even share of the labels), and each; tested ones alone."""
    counts = np.bincount(evidence.labeled.labels, minlength=len(evidence.classes))
    tested = [int(c) for c in np.unique(evidence.held_out.labels)]
    rare = tuple(c for c in tested if counts[c] < counts.sum() / len(counts))
    groups = [Group("all", "all classes", tuple(tested))]
    if rare:
        groups.append(Group("rare", "rare classes", rare))
    return (*groups, *(Group("class", evidence.classes[c], (c,)) for c in tested))

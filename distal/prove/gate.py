"""Train each set's classifier for several seeds, test all on the same held-out images, and compare them in pairs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distal.errors import EvaluationError
from distal.metrics.classification import average_precision, class_scores
from distal.metrics.comparison import Resamples, gain_of_more
from distal.prove.arms import Evidence, fractions, stream
from distal.prove.classifier import Floats
from distal.prove.trainings import ARMS, CURVE, LABELS, SHARES, Carry, Learner, in_turn, on_features, trainings

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


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


def prove(evidence: Evidence, seeds: int, learner: Learner = on_features, carry: Carry = in_turn) -> Proof:
    """Compare the sets of the evidence, by what a learner makes of each. carry: where that is done.

    Raises:
        EvaluationError: fewer than two classes have labels, or no held-out image has one.
    """
    require_evidence(evidence.labeled.labels, evidence.held_out.labels)
    said: dict[str, list[Floats]] = {on: [] for on in (*ARMS, *CURVE)}
    for each in carry(evidence, learner, trainings(seeds)):
        for on, probs in each.items():
            said[on].append(probs)
    labels, groups = evidence.held_out.labels, _groups(evidence)
    draws = Resamples.draw(labels, seeds, evidence.seed)

    def together(scores: Doubles) -> Doubles:
        return draws.over_seeds(np.stack([scores[..., list(group.members)].mean(-1) for group in groups], -1))

    scores = {}
    for arm in ARMS:
        probs_snk = np.stack(said[arm])
        by_class = class_scores(probs_snk, labels, draws.images)
        by_class["auprc"] = average_precision(probs_snk, labels, draws.images)
        scores[arm] = {name: together(values) for name, values in by_class.items()}
    recalls = [class_scores(np.stack(said[on]), labels, draws.images)["recall"] for on in CURVE]
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


def _groups(evidence: Evidence) -> tuple[Group, ...]:
    """Return all classes, the rare ones (those below an even share of the labels), and each; tested ones alone."""
    counts = np.bincount(evidence.labeled.labels, minlength=len(evidence.classes))
    tested = [int(c) for c in np.unique(evidence.held_out.labels)]
    rare = tuple(c for c in tested if counts[c] < counts.sum() / len(counts))
    groups = [Group("all", "all classes", tuple(tested))]
    if rare:
        groups.append(Group("rare", "rare classes", rare))
    return (*groups, *(Group("class", evidence.classes[c], (c,)) for c in tested))

"""Say in words, figures and JSON what a proof came to: do the images pay, class by class, and what would instead."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from distal.metrics.comparison import Interval, gain, interval
from distal.prove.gate import Group, Proof
from distal.prove.trainings import ARMS, AUGMENTED, IMAGES, LABELS, PSEUDO

Answer = Literal["yes", "harm", "not shown"]

LEAST = 0.005
"""A gain in recall below half a point is not worth anybody's labels."""

LEGEND = """\
has: labels. gets: images that are added. pseudo: pool images under the class that the classifier is sure of.
Gains are over the better of the labels alone and their classical augmentation; intervals are over seeds and held-out
images. What further labels bring is estimated from the learning curve of those there are."""

TITLES = {LABELS: "labels", AUGMENTED: "augmented", PSEUDO: "pseudo"}


class Judged:
    """Judge the images for one group of classes, against the better of the labels alone and their augmentation."""

    def __init__(self, proof: Proof, place: int) -> None:
        def over_free(score: str) -> Interval:
            mine, alone, augmented = (proof.scores[arm][score][:, place] for arm in (IMAGES, LABELS, AUGMENTED))
            return interval(gain(mine, alone, augmented))

        self.group: Group = proof.groups[place]
        self.gains = {score: over_free(score) for score in proof.scores[IMAGES]}
        self.further = interval(proof.further[:, place])
        self.added = int(np.isin(proof.evidence.images.labels, self.group.members).sum())

    @property
    def answer(self) -> Answer:
        """Return yes where recall and F1 surely rise, harm where recall surely falls and F1 with it.

        Recall alone rises wherever a class is said more often, as any images make it, noise among them.
        """
        recall, f1 = self.gains["recall"], self.gains["f1"]
        if recall.low > 0 and f1.low > 0:
            return "yes"
        return "harm" if recall.high < 0 and f1.value < 0 else "not shown"


def judge(proof: Proof) -> list[Judged]:
    """Judge every group of the proof, in its order."""
    return [Judged(proof, place) for place in range(len(proof.groups))]


def headline(judged: list[Judged]) -> Judged:
    """Return the group that decides: the rare classes together, all where none is rare."""
    return next((each for each in judged if each.group.kind == "rare"), judged[0])


def sentence(judged: Judged, kind: str, price: int) -> str:
    """Return the verdict on one group. kind: what the images are called, such as generated."""
    group, recall = judged.group, judged.gains["recall"]
    name = f"'{group.name}'" if group.name.isdecimal() else group.name
    subject = f"{kind} {name} images" if group.kind == "class" else f"{kind} images, for {name} together,"
    points = f"points of recall, {_between(recall)}"
    if not judged.added:
        return f"no {kind} {name} image was tried{_instead(judged, price)}"
    if judged.answer == "yes":
        more = price and judged.further.low > recall.value
        beaten = f"; {price} more labels would add more: {_estimate(judged)}" if more else ""
        return f"{subject} add {recall.value * 100:.1f} {points}{beaten}"
    if judged.answer == "harm":
        return f"{subject} cost {-recall.value * 100:.1f} {points}{_instead(judged, price)}"
    traded = ", but not of F1" if recall.low > 0 or recall.high < 0 else ""
    return f"{subject} are not shown to help: {recall.value * 100:+.1f} {points}{traded}{_instead(judged, price)}"


def labels_pay(judged: Judged) -> bool:
    """Say whether further labels of the price surely raise recall, by an amount worth asking for."""
    return judged.further.low > 0 and judged.further.value >= LEAST


def label_more(proof: Proof) -> str | None:
    """Answer whether to label more, for the classes that decide; None where further labels have no price."""
    decides, price = headline(judge(proof)), proof.evidence.price
    if not price:
        return None
    more, points = f"{price} more labels promise", f"{_estimate(decides)} points of recall"
    answer = f"Yes: {more} {points}" if labels_pay(decides) else f"Not for this: {more} little, {points}"
    return f"{answer}, for {decides.group.name} together."


def _instead(judged: Judged, price: int) -> str:
    if not price:
        return ""
    advice = f"label {price} more instead" if labels_pay(judged) else f"{price} more labels promise little as well"
    return f"; {advice}: {_estimate(judged)}"


def _between(of: Interval) -> str:
    return f"95% interval {of.low * 100:.1f} to {of.high * 100:.1f}"


def _estimate(judged: Judged) -> str:
    of = judged.further
    return f"about {of.value * 100:+.1f} (estimate, {of.low * 100:.1f} to {of.high * 100:.1f})"


def describe(proof: Proof, kind: str) -> str:
    """Return a table of recall, one of the other scores, and a sentence for each class; the verdict comes last."""
    evidence, judged = proof.evidence, judge(proof)
    titles = [TITLES.get(arm, kind) for arm in ARMS]
    further = [f"+{evidence.price} labels"] if evidence.price else []
    counts = np.bincount(evidence.labeled.labels, minlength=len(evidence.classes))
    rows = [["recall in points", "has", "gets", *titles, *further]]
    for place, each in enumerate(judged):
        members = list(each.group.members)
        recalls = [proof.scores[arm]["recall"][0, place] for arm in ARMS]
        recalls += [min(1.0, recalls[0] + each.further.value)] if further else []
        numbers = [str(counts[members].sum()), str(each.added)]
        rows.append([each.group.name, *numbers, *(f"{value * 100:.1f}" for value in recalls)])
    decides = headline(judged)
    place = judged.index(decides)
    rows.append([])
    for score, title in (("precision", "precision"), ("f1", "F1"), ("auprc", "AUPRC")):
        values = [f"{proof.scores[arm][score][0, place] * 100:.1f}" for arm in ARMS]
        rows.append([f"{title}, {decides.group.name}", "", "", *values])
    said = [sentence(each, kind, evidence.price) for each in judged if each.group.kind == "class"]
    untested = [f"no held-out image is of {name}: nothing can be said of it" for name in proof.untested]
    return "\n".join(
        [*_columns(rows), "", LEGEND, "", *said, *untested, "", *_for_nothing(proof, place), verdict(proof, kind)]
    )


def _for_nothing(proof: Proof, place: int) -> list[str]:
    """Say of what costs no label and needs no generator what surely pays."""
    alone = proof.scores[LABELS]["recall"][:, place]
    lines = []
    for arm, title in ((AUGMENTED, "classical augmentation adds"), (PSEUDO, "pseudo-labels of the pool add")):
        added = interval(gain(proof.scores[arm]["recall"][:, place], alone))
        if added.low > 0:
            lines.append(f"{title} {added.value * 100:.1f} points to the labels alone, {_between(added)}")
    return lines


def verdict(proof: Proof, kind: str) -> str:
    """Return the one sentence that answers the question."""
    decides = headline(judge(proof))
    return f"{'Yes' if decides.answer == 'yes' else 'No'}: {sentence(decides, kind, proof.evidence.price)}."


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    lines = (
        [f"{c:<{w}}" if not i else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=False))]
        for row in rows
    )
    return ["  ".join(line) for line in lines]


def to_json(proof: Proof, kind: str) -> dict[str, Any]:
    """Return what prove.json holds of the proof."""
    evidence, judged = proof.evidence, judge(proof)
    return {
        "answer": headline(judged).answer,
        "sentence": verdict(proof, kind),
        "label_more": label_more(proof),
        "labels": len(evidence.labeled.labels),
        "held_out": len(evidence.held_out.labels),
        "seeds": proof.seeds,
        "price": evidence.price,
        "untested": list(proof.untested),
        "groups": [_group(proof, each, place, kind) for place, each in enumerate(judged)],
    }


def _group(proof: Proof, judged: Judged, place: int, kind: str) -> dict[str, Any]:
    group, evidence = judged.group, proof.evidence
    return {
        "kind": group.kind,
        "name": group.name,
        "labels": int(np.isin(evidence.labeled.labels, group.members).sum()),
        "held_out": int(np.isin(evidence.held_out.labels, group.members).sum()),
        "images": judged.added,
        "answer": judged.answer,
        "sentence": sentence(judged, kind, evidence.price),
        "gain": {score: _interval(each) for score, each in judged.gains.items()},
        "further_labels": _interval(judged.further),
        "sets": {arm: _scores(proof, arm, place) for arm in ARMS},
    }


def _scores(proof: Proof, arm: str, place: int) -> dict[str, list[float]]:
    scores: dict[str, npt.NDArray[np.float64]] = proof.scores[arm]
    return {score: _interval(interval(draws[:, place])) for score, draws in scores.items()}


def _interval(of: Interval) -> list[float]:
    return [round(value, 5) for value in (of.value, of.low, of.high)]

"""Find answers that are worth a second look: people differ about them, or the model doubts them."""

from collections.abc import Collection, Sequence

import numpy as np

from distal.query.annotators import active_lab
from distal.run.directory import RunDirectory
from distal.run.opinions import Opinions
from distal.run.predictions import read_predictions


def doubted(run: RunDirectory, opinions: Opinions, most: int) -> list[int]:
    """Return the rows whose answer the probe did not foretell and which deserve another answer, the likeliest first.

    By ActiveLab (`distal.query.annotators`), of what the probe said before the row was asked. Rows that somebody has
    settled are left out, as are rows of no class.
    """
    scored = _scored(run, opinions, frozenset())
    return [row_id for _, row_id, doubt in scored if doubt][:most]


def worth_another(run: RunDirectory, opinions: Opinions, asked: Collection[int], most: int) -> list[int]:
    """Return the doubted rows whose answer deserves another one more than new rows deserve their first.

    Relabel, or label new (Goh and Mueller 2023): ActiveLab scores both alike, and as many are chosen as rows are asked.

    asked: the rows of the open query.
    """
    new = frozenset(row_id for row_id in asked if not opinions.of(row_id))
    chosen = _scored(run, opinions, new)[: len(asked)]
    return [row_id for _, row_id, doubt in chosen if doubt][:most]


def _scored(run: RunDirectory, opinions: Opinions, new: frozenset[int]) -> list[tuple[float, int, bool]]:
    """Return ActiveLab's score, row id and whether the answer is doubted, of doubted rows and new ones, highest first.

    Empty while there is no answer that the probe has foretold.
    """
    rows: list[int] = []
    said: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
    labels: list[int] = []
    for round in run.rounds():
        predictions = read_predictions(run, round)
        if predictions is not None:
            for row_id, foretold_probs in zip(predictions.row_ids.tolist(), predictions.probe, strict=True):
                answer = opinions.outcome(row_id)
                label = -1 if answer is None or answer.label is None or answer.settles else answer.label
                if label >= 0 or row_id in new:
                    rows.append(row_id)
                    said.append(foretold_probs)
                    labels.append(label)
    people = sorted({person for row_id in rows for person in opinions.of(row_id)})
    if not people:
        return []
    answers = np.full((len(rows), len(people)), -1, dtype=np.int64)
    for i, row_id in enumerate(rows):
        for person, decision in opinions.of(row_id).items():
            answers[i, people.index(person)] = -1 if decision.label is None else decision.label
    probs = np.stack(said).astype(np.float64)
    doubt = (np.array(labels) >= 0) & (probs.argmax(1) != labels)
    scores = active_lab(probs, answers)
    order = np.argsort(-scores, kind="stable")
    return [(float(scores[i]), rows[i], bool(doubt[i])) for i in order if doubt[i] or labels[i] < 0]


def foretold(run: RunDirectory, round: int, row_id: int, classes: Sequence[str]) -> list[tuple[int, float]]:
    """Return what the probe said of a row before it was asked: class and probability, the likeliest first.

    Empty where there was no probe yet.
    """
    predictions = read_predictions(run, round)
    if predictions is None or row_id not in predictions.row_ids:
        return []
    probs = predictions.probe[int(np.flatnonzero(predictions.row_ids == row_id)[0])]
    return [(int(c), float(probs[c])) for c in np.argsort(-probs, kind="stable")[: len(classes)]]

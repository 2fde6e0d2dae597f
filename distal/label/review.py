"""Find answers that are worth a second look: people differ about them, or the model doubts them."""

from collections.abc import Sequence

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
    rows: list[int] = []
    said: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []
    for round in run.rounds():
        predictions = read_predictions(run, round)
        if predictions is not None:
            for row_id, probs in zip(predictions.row_ids.tolist(), predictions.probe, strict=True):
                answer = opinions.outcome(row_id)
                if answer is not None and answer.label is not None and not answer.settles:
                    rows.append(row_id)
                    said.append(probs)
    if not rows:
        return []
    people = sorted({person for row_id in rows for person in opinions.of(row_id)})
    answers = np.full((len(rows), len(people)), -1, dtype=np.int64)
    for i, row_id in enumerate(rows):
        for person, decision in opinions.of(row_id).items():
            answers[i, people.index(person)] = -1 if decision.label is None else decision.label
    probs = np.stack(said).astype(np.float64)
    counts = np.array([_label(opinions, row_id) for row_id in rows])
    scores = np.where(probs.argmax(1) != counts, active_lab(probs, answers), -1.0)
    return [rows[i] for i in np.argsort(-scores, kind="stable")[:most] if scores[i] >= 0]


def foretold(run: RunDirectory, round: int, row_id: int, classes: Sequence[str]) -> list[tuple[int, float]]:
    """Return what the probe said of a row before it was asked: class and probability, the likeliest first.

    Empty where there was no probe yet.
    """
    predictions = read_predictions(run, round)
    if predictions is None or row_id not in predictions.row_ids:
        return []
    probs = predictions.probe[int(np.flatnonzero(predictions.row_ids == row_id)[0])]
    return [(int(c), float(probs[c])) for c in np.argsort(-probs, kind="stable")[: len(classes)]]


def _label(opinions: Opinions, row_id: int) -> int:
    answer = opinions.outcome(row_id)
    assert answer is not None
    assert answer.label is not None
    return answer.label

"""The metric ``fd``: the Frechet distance of all images, of each class, their mean and the worst."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from distal.communicator import on_first_rank
from distal.metrics.frechet import bias_note, floor
from distal.metrics.frechet_error import frechet_error
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.pool_cnn import learns_labels
from distal.metrics.score import Score

MIN_CLASS_REFERENCE = 10  # a class with fewer held-out images has no distance of its own


def frechet_scores(e: Evaluation) -> list[Score]:
    """Return the overall distance, its floor (real from real images), then those of classes where there are labels.

    Features that are not finite give values of None, with the reason in the note.
    """
    name = FD.score_name(e.extractor.name)
    generated = e.generated
    value = None if generated.broken else generated.distance(e.reference.gaussian)
    overall = e.score(name, value, generated.broken_note or _overall_note(e))
    m = len(e.split)
    halves = f"two halves of the held-out images, {m // 2} each, are {e.reference.halves:.4g} apart"
    least = e.score(f"{name}_floor", floor(e.reference.halves, m, generated.samples), halves)
    return [overall, least, *(_class_scores(e, f"{name}_class") if e.split.labeled else ())]


def _overall_note(e: Evaluation) -> str | None:
    notes = [bias_note(e.generated.samples, len(e.split), e.generated.features.shape[1])]
    if not e.split.labeled:
        notes.append("held-out images carry no labels: accuracy, agreement and classes are left out")
    elif not learns_labels(e.split):
        notes.append("held-out labels are all of one class: agreement is left out")
    return "; ".join(text for text in notes if text) or None


def _class_scores(e: Evaluation, name: str) -> list[Score]:
    """Return each class's distance, their mean and the worst; classes with few held-out images have none."""
    scores = []
    for label in range(len(e.split.class_names)):
        n, m = int(e.generated.counts[label]), int(np.count_nonzero(e.split.labels == label))
        value, error = None, None
        if e.generated.broken:
            note = e.generated.broken_note
        elif m < MIN_CLASS_REFERENCE:
            note = f"{m} held-out images of the class, fewer than {MIN_CLASS_REFERENCE}: no distance"
        elif n < 2:
            note = f"{n} generated images of the class: no distance; raise evaluate.samples"
        else:
            value = e.generated.distance(e.reference.by_class[label], label)
            x, y = e.reference.class_rows(label), e.generated.class_rows(label)
            error = on_first_rank(e.comm, partial(frechet_error, x, y))
            note = bias_note(n, m, e.generated.features.shape[1])
        scores.append(replace(e.score(name, value, note, label), error=error))
    return scores + _mean_and_worst(name, scores)


def _mean_and_worst(name: str, scores: Sequence[Score]) -> list[Score]:
    """Return the mean over the classes that have a distance, and the largest of them with its class in the note."""
    first = scores[0]
    scored = [(score.value, score) for score in scores if score.value is not None]
    left_out = (
        f"{len(scores) - len(scored)} of {len(scores)} classes have no distance" if len(scored) < len(scores) else ""
    )
    n, m = sum(s.samples for _, s in scored), sum(s.reference_samples for _, s in scored)
    mean = sum(value for value, _ in scored) / len(scored) if scored else None
    worst, which = max(((value, s.class_name) for value, s in scored), default=(None, None), key=lambda pair: pair[0])
    worst_note = "; ".join(text for text in (f"worst class: {which}" if scored else "", left_out) if text)
    return [
        Score(f"{name}_mean", mean, first.extractor, first.hash, n, m, None, left_out or None),
        Score(f"{name}_worst", worst, first.extractor, first.hash, n, m, None, worst_note or None),
    ]


FD = Metric(
    "fd",
    "Fréchet distance",
    better="lower",
    function=frechet_scores,
    of_features=True,
    inception="fid",
    summaries=("_class_mean", "_class_worst"),
)

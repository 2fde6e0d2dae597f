"""The metric ``agreement``: the share of images whose class, as an independent judge sees it, is the one asked for."""

import numpy as np

from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def agreement_scores(e: Evaluation) -> list[Score]:
    """Return the agreement of all images, then that of each class."""
    assert e.judge is not None
    right, counts, m = e.generated.agreement(), e.generated.counts, len(e.split)
    by, weights = e.judge.extractor.name, e.judge.extractor.hash
    overall = float(right.sum() / counts.sum())
    scores = [Score("agreement", overall, by, weights, e.generated.samples, m, None, e.judge.extractor.note)]
    for label, class_name in enumerate(e.split.class_names):
        n, held_out = int(counts[label]), int(np.count_nonzero(e.split.labels == label))
        known = held_out > 0 and n > 0
        note = None if known else f"{held_out} held-out and {n} generated images of the class: cannot be judged"
        value = float(right[label] / n) if known else None
        scores.append(Score("agreement_class", value, by, weights, n, held_out, class_name, note))
    return scores


AGREEMENT = Metric(
    "agreement",
    "Agreement with the class asked",
    better="higher",
    function=agreement_scores,
    needs=frozenset({"judge", "labels"}),
    share=True,
)

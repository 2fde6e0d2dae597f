"""Scores of a classifier are scikit-learn's, for images that count as often as a draw says."""

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from distal.metrics.classification import average_precision, class_scores

DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, 3, 60)
PROBS = np.round(DRAW.dirichlet(np.ones(4), (2, 60)), 1).astype(np.float32)  # rounded: with ties; nobody is of class 3
WEIGHTS = np.stack([np.ones(60), DRAW.integers(0, 4, 60)]).astype(np.float64)


def test_recall_precision_and_f1_are_scikit_learns() -> None:
    ours = class_scores(PROBS, LABELS, WEIGHTS)
    for b, weights in enumerate(WEIGHTS):
        for s, probs in enumerate(PROBS):
            theirs = precision_recall_fscore_support(
                LABELS, probs.argmax(1), labels=range(3), sample_weight=weights, zero_division=0
            )
            for name, values in zip(("precision", "recall", "f1"), theirs, strict=False):
                assert np.allclose(ours[name][b, s, :3], values)


def test_the_area_under_the_curve_is_scikit_learns_average_precision() -> None:
    ours = average_precision(PROBS, LABELS, WEIGHTS)
    for b, weights in enumerate(WEIGHTS):
        for s, probs in enumerate(PROBS):
            for c in range(3):
                assert np.isclose(
                    ours[b, s, c], average_precision_score(c == LABELS, probs[:, c], sample_weight=weights)
                )


def test_a_class_that_no_image_is_of_has_no_score() -> None:
    assert np.isnan(average_precision(PROBS, LABELS, WEIGHTS)[..., 3]).all()
    assert all(np.isnan(values[..., 3]).all() for values in class_scores(PROBS, LABELS, WEIGHTS).values())

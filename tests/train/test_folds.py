"""Folds of labels: each label is left out once, and sizes are even, over all and within each class."""

import numpy as np
import pytest

from distal.errors import ConfigError
from distal.train.folds import stratified


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_are_even_over_all_labels_and_within_each_class(folds: int) -> None:
    labels = np.random.default_rng(0).choice(4, 37, p=[0.6, 0.3, 0.08, 0.02])
    fold = stratified(labels, folds, seed=1)
    counts = np.array([np.bincount(fold[labels == c], minlength=folds) for c in range(4)])
    assert np.ptp(counts.sum(0)) <= 1
    assert np.ptp(counts, axis=1).max() <= 1
    assert not np.array_equal(fold, stratified(labels, folds, seed=2))


@pytest.mark.parametrize("labels", [[0, 1, 1], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]])
def test_labels_that_leave_a_fold_empty_or_one_class_to_learn_from_are_refused(labels: list[int]) -> None:
    with pytest.raises(ConfigError, match=rf"5 folds cannot be made of {len(labels)} labels"):
        stratified(np.array(labels), 5, seed=0)

"""The benchmark's long-tailed pool: shares as asked, the pool's order kept, what is too much refused."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from long_tail import long_tail

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(4), 500))
RARE = np.array([1, 3])


def test_rare_classes_have_their_share_and_the_others_their_proportions() -> None:
    rows = long_tail(LABELS, RARE, 0.01, 1000)
    assert np.bincount(LABELS[rows]).tolist() == [490, 10, 490, 10]
    assert (np.diff(rows) > 0).all()


def test_the_first_rows_of_a_class_are_taken() -> None:
    rows = long_tail(LABELS, RARE, 0.01, 1000)
    assert rows[LABELS[rows] == 3].tolist() == np.flatnonzero(LABELS == 3)[:10].tolist()


def test_more_rows_than_there_are_is_refused_with_the_most_that_there_are() -> None:
    with pytest.raises(ValueError, match="--rows 1020 at the most"):
        long_tail(LABELS, RARE, 0.01, 1100)
    assert len(long_tail(LABELS, RARE, 0.01, 1020)) == 1020

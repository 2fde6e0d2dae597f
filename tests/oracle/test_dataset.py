"""The simulated annotator: its errors are a function of seed and row, its costs add up."""

import time

import numpy as np
import pytest
from pool_of_rows import CLASSES, PoolOfRows

from distal.errors import ConfigError, PoolError
from distal.oracle.classes import Classes
from distal.oracle.dataset import DatasetOracle

ROWS = np.arange(6, 20_006, dtype=np.int64)


def oracle(noise: float = 0.0, seed: int = 0, **cost: float) -> DatasetOracle:
    return DatasetOracle(PoolOfRows(), Classes(CLASSES, cost), noise, seed)


def labels(answers) -> np.ndarray:
    return np.array([answer.label for answer in answers])


def collected(made: DatasetOracle, rows: np.ndarray) -> list:
    return [answer for part in made.collect(None, rows) for answer in part]


def test_every_pending_row_is_answered_with_its_hidden_label(query):
    answers = collected(oracle(dog=3.0), query.row_ids)
    assert [a.row_id for a in answers] == [7, 3, 5, 12]
    assert [a.label for a in answers] == [1, 0, None, 0]
    assert [a.cost for a in answers] == [3.0, 1.0, 1.0, 1.0]
    assert {a.annotator for a in answers} == {"dataset"}
    assert all(abs(a.time - time.time()) < 60 for a in answers)


def test_nothing_pending_yields_nothing():
    assert list(oracle().collect(None, np.array([], dtype=np.int64))) == []


def test_noise_has_its_rate_and_falls_uniformly_on_the_other_classes():
    """Rate p = 0.3 over n rows, 4 sigma = 4 sqrt(p (1 - p) / n)."""
    given, true = labels(collected(oracle(noise=0.3), ROWS)), ROWS % 3
    n = len(ROWS)
    assert abs((given != true).mean() - 0.3) < 4 * np.sqrt(0.21 / n)
    shift = (given - true)[given != true] % 3
    assert abs((shift == 1).mean() - 0.5) < 4 * np.sqrt(0.25 / (0.3 * n))


def test_asking_again_in_any_order_gives_the_same_answers():
    first = dict(zip(ROWS, labels(collected(oracle(noise=0.5), ROWS)), strict=True))
    order = np.random.default_rng(0).permutation(ROWS)[:500]
    assert labels(collected(oracle(noise=0.5), order)).tolist() == [first[row] for row in order]
    assert labels(collected(oracle(noise=0.5, seed=1), ROWS)).tolist() != list(first.values())


def test_noise_of_1_never_tells_the_truth_and_declines_as_before():
    assert (labels(collected(oracle(noise=1.0), ROWS)) != ROWS % 3).all()
    assert collected(oracle(noise=1.0), np.array([5]))[0].label is None


def test_a_pool_without_labels_is_refused():
    pool = PoolOfRows()
    pool.has_labels = False
    with pytest.raises(ConfigError, match=r"pool\.label_column"):
        DatasetOracle(pool, Classes(CLASSES, {}), 0.0, 0)


def test_a_label_outside_the_classes_is_refused():
    made = DatasetOracle(PoolOfRows(), Classes(("cat", "dog"), {}), 0.0, 0)
    with pytest.raises(PoolError, match="row 8 has label 2, outside the 2 classes"):
        collected(made, np.array([7, 8]))

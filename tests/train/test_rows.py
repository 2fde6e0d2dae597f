import numpy as np
import pytest

from distal.errors import TrainingError
from distal.train.rows import TrainingRows

NONE = np.zeros(0, np.int64)


class Blank:
    def pixels(self, row_ids: np.ndarray) -> np.ndarray:
        return np.zeros((len(row_ids), 1, 8, 8), np.uint8)


def rows(**changes: object) -> TrainingRows:
    given = {
        "images": Blank(),
        "total_rows": 100,
        "excluded": NONE,
        "held_out": None,
        "labeled_ids": np.array([5, 7, 9, 11]),
        "labels": np.array([0, 0, 0, 1]),
        "seed": 3,
    }
    return TrainingRows(**(given | changes))  # type: ignore[arg-type]


def test_rows_of_a_step_do_not_depend_on_the_steps_before() -> None:
    a, b = rows(), rows()
    for step in range(5):
        a.unlabeled(step, 16)
    assert np.array_equal(a.unlabeled(5, 16), b.unlabeled(5, 16))
    assert not np.array_equal(a.unlabeled(4, 16), a.unlabeled(5, 16))


def test_excluded_and_held_out_rows_are_never_drawn() -> None:
    source = rows(excluded=np.arange(0, 50), held_out=lambda ids: ids >= 75)
    drawn = source.unlabeled(0, 2000)
    assert set(drawn) == set(range(50, 75))


def test_unlabeled_rows_are_uniform_over_the_pool() -> None:
    counts = np.bincount(rows().unlabeled(1, 20_000), minlength=100)
    # Chi-square with 99 degrees of freedom: mean 99, standard deviation 14; five deviations.
    assert ((counts - 200) ** 2 / 200).sum() < 99 + 5 * 14


def test_balance_one_draws_every_labeled_class_equally_often() -> None:
    _, labels = rows(balance=1.0).labeled(0, 1000)
    assert np.bincount(labels).tolist() == [500, 500]


def test_balance_zero_draws_labeled_rows_as_they_were_labeled() -> None:
    _, labels = rows(balance=0.0).labeled(0, 1000)
    assert np.bincount(labels).tolist() == [750, 250]


def test_labeled_rows_come_with_their_own_labels() -> None:
    ids, labels = rows().labeled(2, 64)
    known = {5: 0, 7: 0, 9: 0, 11: 1}
    assert all(known[i] == y for i, y in zip(ids.tolist(), labels.tolist(), strict=True))


def test_without_labels_no_labeled_row_is_drawn() -> None:
    ids, labels = rows(labeled_ids=NONE, labels=NONE).labeled(0, 16)
    assert len(ids) == len(labels) == 0


def test_a_pool_with_nothing_left_is_refused() -> None:
    with pytest.raises(TrainingError, match="held out or skipped"):
        rows(held_out=lambda ids: np.ones(len(ids), bool)).unlabeled(0, 4)

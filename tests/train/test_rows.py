from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from training_case import labeled_rows

from distal.errors import TrainingError
from distal.train.rows import PREFETCH_STEPS, TrainingRows

NONE = np.zeros(0, np.int64)


class Blank:
    def pixels(self, row_ids: np.ndarray) -> np.ndarray:
        return np.zeros((len(row_ids), 1, 8, 8), np.uint8)

    def request(self, row_ids: np.ndarray) -> Callable[[], np.ndarray]:
        return partial(self.pixels, row_ids)


class Numbered(Blank):
    """Images whose pixels are their row id; note what is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, ...]] = []

    def pixels(self, row_ids: np.ndarray) -> np.ndarray:
        return np.broadcast_to(row_ids.astype(np.uint8)[:, None, None, None], (len(row_ids), 1, 8, 8))

    def request(self, row_ids: np.ndarray) -> Callable[[], np.ndarray]:
        self.asked.append(tuple(row_ids.tolist()))
        return super().request(row_ids)


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


def test_runs_are_of_neighbours_and_each_row_is_as_likely_as_any_other() -> None:
    source = rows(run_length=5)
    drawn = source.unlabeled(0, 20).reshape(-1, 5)
    assert ((drawn - drawn[:, :1]) % 100 == np.arange(5)).all()
    assert not np.array_equal(drawn, source.unlabeled(1, 20).reshape(-1, 5))
    counts = np.bincount(source.unlabeled(2, 100_000), minlength=100)
    # Means of 5 rows that count together vary 5 times as much: chi-square of 99 degrees of freedom, times 5 at most.
    assert ((counts - 1000) ** 2 / 1000).sum() < 5 * (99 + 5 * 14)
    assert np.array_equal(rows(run_length=1).unlabeled(3, 30), rows().unlabeled(3, 30))


def test_excluded_rows_are_left_out_of_runs() -> None:
    assert set(rows(run_length=8, excluded=np.arange(0, 99, 2)).unlabeled(0, 200)) <= {*range(1, 100, 2)}


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


def test_pixels_that_were_asked_for_ahead_are_those_of_the_step_and_each_is_asked_for_once() -> None:
    images = Numbered()
    ahead = rows(images=images)
    for step in range(7, 12):
        drawn = ahead.slice(step, 20, 5, rank=1, size=2)
        direct = rows(images=Numbered())
        ids = np.concatenate([direct.labeled(step, 5)[0][2:], direct.unlabeled(step, 15)[7:]])
        assert drawn.pixels()[:, 0, 0, 0].tolist() == ids.tolist()
        assert (drawn.labels.tolist(), drawn.labeled_total) == (direct.labeled(step, 5)[1][2:].tolist(), 5)
        assert drawn.positions.tolist() == [2, 3, 4, *range(12, 20)]
        assert images.asked[step - 7] == tuple(ids.tolist())
        assert len(images.asked) == step - 7 + 1 + PREFETCH_STEPS


def test_no_more_is_held_than_the_steps_that_are_near() -> None:
    source = rows()
    for step in (0, 1, 2, 9, 3):
        source.slice(step, 8, 2, 0, 1)
        assert [key[0] for key in source._asked] == [step, step + 1, step + 2]


def test_reweighted_rows_are_drawn_otherwise_and_leave_the_first_ones_as_they_were() -> None:
    rows = labeled_rows(6)
    before = rows.unlabeled(3, 20), rows.labeled(3, 6)[0]
    other = rows.reweighted(9, np.array([0.0, 2, 1, 1, 1, 1]), lambda source, n: source.integers(0, 10, size=n))
    assert other.unlabeled(3, 50).max() < 10
    assert rows.labeled_ids[0] not in np.concatenate([other.labeled(step, 6)[0] for step in range(20)])
    for kept, again in zip(before, (rows.unlabeled(3, 20), rows.labeled(3, 6)[0]), strict=True):
        assert np.array_equal(kept, again)

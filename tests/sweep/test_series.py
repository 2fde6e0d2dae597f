"""Trials gathered into curves."""

from dataclasses import replace
from pathlib import Path

import made_sweep
import pytest
from made_sweep import BATCH, results_of, trial

from distal.sweep.series import MOST, TOP, gather

RATE = {"model.learning_rate_g": {"loguniform": [1e-4, 1e-2]}}
STRATEGIES = {"train.augment": {"choice": [[], ["shift"]]}, "query.strategy": ["margin", "badge"]}


def test_the_strategy_makes_the_series_where_it_is_searched_else_the_first_choice(tmp_path: Path) -> None:
    assert gather(results_of([], tmp_path, STRATEGIES)).key == "query.strategy"
    assert gather(results_of([], tmp_path, {**RATE, "train.augment": [[], ["shift"]]})).key == "train.augment"
    assert gather(results_of([], tmp_path, {**RATE, "query.strategy": ["badge"]})).key is None


def test_values_come_in_the_order_of_the_space(tmp_path: Path) -> None:
    trials = [trial({"query.strategy": name}, 2.0) for name in ("badge", "margin")]
    assert [s.name for s in gather(results_of(trials, tmp_path, STRATEGIES)).series] == ["margin", "badge"]


def test_a_series_is_the_median_and_the_range_of_those_that_got_there(tmp_path: Path) -> None:
    point = {"query.strategy": "margin"}
    trials = [trial(point, end, seed, start=end) for seed, end in enumerate((1.0, 2.0, 6.0))]
    trials.append(trial(point, 9.0, 3, "stopped", rounds=2, start=9.0))
    (series,) = gather(results_of(trials, tmp_path, STRATEGIES)).series
    assert series.asked == tuple(BATCH * i for i in range(1, 7))
    assert series.middle == (4.0, 4.0, 2.0, 2.0, 2.0, 2.0)
    assert series.low == (1.0,) * 6
    assert series.high == (9.0, 9.0, 6.0, 6.0, 6.0, 6.0)
    assert series.stopped == ((2 * BATCH, 60.0, 9.0),)


def test_compute_never_goes_back_where_a_slow_trial_is_given_up(tmp_path: Path) -> None:
    point = {"query.strategy": "margin"}
    slow = trial(point, 2.0, 1, "stopped", rounds=2, seconds=500.0)
    (series,) = gather(results_of([trial(point, 2.0), slow], tmp_path, STRATEGIES)).series
    assert series.seconds == (265.0, 530.0, 560.0, 590.0, 620.0, 650.0)


def test_rounds_at_other_labels_are_joined_by_a_straight_line(tmp_path: Path) -> None:
    point = {"query.strategy": "margin"}
    one = trial(point, 4.0, 0, start=4.0, rounds=3)
    other = trial(point, 8.0, 1, start=8.0, rounds=1)
    shifted = tuple(replace(other.curve[0], asked=asked, value=float(asked)) for asked in (30, 50))
    (series,) = gather(results_of([one, replace(other, curve=shifted)], tmp_path, STRATEGIES)).series
    assert series.asked == (20, 30, 40, 50, 60)
    assert series.high == (4.0, 30.0, 40.0, 50.0, 4.0)


def test_failed_trials_and_missing_values_are_left_out(tmp_path: Path) -> None:
    point = {"query.strategy": "margin"}
    whole = trial(point, 2.0, start=2.0)
    holes = replace(whole, curve=tuple(replace(p, value=None if p.round == 3 else p.value) for p in whole.curve))
    (series,) = gather(results_of([holes, trial(point, 99.0, 1, "failed")], tmp_path, STRATEGIES)).series
    assert series.asked == (20, 40, 80, 100, 120)
    assert max(series.high) == 2.0
    assert gather(results_of([trial(point, 2.0, 0, "failed")], tmp_path, STRATEGIES)).series == ()


def test_the_best_points_are_drawn_where_there_is_no_choice(tmp_path: Path) -> None:
    space = {**RATE, "query.strategy": ["badge"]}
    rates = [1e-4 * i for i in range(1, 10)]
    trials = [trial({"model.learning_rate_g": rate, "query.strategy": "badge"}, 1e4 * rate) for rate in rates]
    curves = gather(results_of(trials, tmp_path, space))
    assert len(curves.series) == TOP
    assert curves.left_out == 3
    assert curves.series[0].name == "1: learning_rate_g 0.0001"  # the strategy is every point's


def test_more_values_than_can_be_told_apart_are_left_out(tmp_path: Path) -> None:
    sizes = list(range(4, 24))
    trials = [trial({"net.width": size}, 2.0) for size in sizes]
    curves = gather(results_of(trials, tmp_path, {"net.width": sizes}))
    assert (len(curves.series), curves.left_out) == (MOST, 8)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_no_value_is_no_series(tmp_path: Path, value: float | None) -> None:
    whole = trial({"query.strategy": "margin"}, 2.0)
    empty = replace(whole, curve=tuple(replace(p, value=value) for p in whole.curve))
    assert gather(results_of([empty], tmp_path, STRATEGIES)).series == ()
    assert gather(made_sweep.results_of([], tmp_path)).series == ()

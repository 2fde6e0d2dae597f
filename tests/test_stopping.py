import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distal.errors import ConfigError
from distal.resolve import make_config
from distal.stopping import decide_stop, rounds_without_improvement


def reason(distances: list[float | None], asked: int = 0, available: int = 100, **stop: Any) -> str | None:
    config = make_config({"rounds": 5, "query": {"batch": 10}, "stop": stop})
    decided = decide_stop(config, "distance", "lower", distances, len(distances), asked, available)
    return None if decided is None else decided.reason


def test_a_fresh_run_goes_on() -> None:
    assert reason([]) is None


def test_each_reason_is_named() -> None:
    assert reason([9.0], fid=10.0) == "goal"
    assert reason([99.0], asked=50) == "budget"
    assert reason([99.0], asked=20, labels=20) == "budget"
    assert reason([5.0] * 5, asked=10) == "rounds"
    assert reason([5.0, 5.0, 5.0], patience=2) == "patience"
    assert reason([5.0], available=0) == "pool"


def test_it_ends_when_enough_of_every_rare_class_is_found() -> None:
    config = make_config({"stop": {"recall": 0.8}})
    found = [decide_stop(config, "distance", "lower", [5.0], 1, 10, 100, recall) for recall in (None, 0.79, 0.8)]
    assert [stop and stop.reason for stop in found] == [None, None, "recall"]


def test_a_metric_that_should_rise_is_followed_upwards() -> None:
    config = make_config({"stop": {"goal": {"metric": "agreement", "value": 0.9}, "patience": 2}})
    assert decide_stop(config, "agreement", "higher", [0.5, 0.8], 2, 0, 9) is None
    reached = decide_stop(config, "agreement", "higher", [0.5, 0.9], 2, 0, 9)
    assert reached is not None
    assert reached.message == "the agreement 0.9 reached the goal 0.9"
    stuck = decide_stop(config, "agreement", "higher", [0.5, 0.5, 0.4], 3, 0, 9)
    assert stuck is not None
    assert stuck.reason == "patience"


def test_two_goals_are_refused() -> None:
    with pytest.raises(ConfigError, match="follows one goal"):
        make_config({"stop": {"fid": 3.0, "goal": {"metric": "agreement", "value": 0.9}}})


def test_a_goal_on_an_unknown_score_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'agreement'"):
        make_config({"stop": {"goal": {"metric": "agrement", "value": 0.9}}})


def test_a_goal_is_met_by_the_last_round_alone() -> None:
    assert reason([9.0, 11.0], fid=10.0) is None


def test_a_slow_fall_counts_once_it_adds_up() -> None:
    assert rounds_without_improvement([100.0, 99.5, 98.9], "lower", 0.01) == 0
    assert rounds_without_improvement([100.0, 99.5], "lower", 0.01) == 1


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_a_missing_distance_is_no_improvement_and_stops_nothing_by_itself(bad: float | None) -> None:
    assert rounds_without_improvement([bad, bad], "lower", 0.0) == 2
    assert rounds_without_improvement([bad, 5.0], "lower", 0.0) == 0
    assert reason([bad], fid=10.0) is None


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=20), st.floats(0, 0.5))
def test_waiting_never_exceeds_the_rounds_since_the_strict_best(distances: list[float], least: float) -> None:
    waited = rounds_without_improvement(distances, "lower", least)
    assert 0 <= waited < len(distances)

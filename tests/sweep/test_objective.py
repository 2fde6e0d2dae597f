"""Trials are compared by a value that is never NaN, follows the curve, and is smoother than it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distal.config import EvaluateConfig
from distal.errors import ConfigError
from distal.metrics.registry import find_score
from distal.sweep.objective import WORST, direction, smoothed

POOL_CNN, INCEPTION = EvaluateConfig(), EvaluateConfig(extractor="inception")

distances = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))


@given(values=st.lists(distances), mode=st.sampled_from(["min", "max"]), weight=st.floats(0, 0.99))
def test_a_value_is_always_finite(values: list[float | None], mode: str, weight: float) -> None:
    assert math.isfinite(smoothed(values, mode, weight))


def test_a_trial_whose_last_score_is_missing_stands_at_the_worst() -> None:
    assert smoothed([], "min", 0.3) == WORST
    assert smoothed([2.0, None], "min", 0.3) == WORST
    assert smoothed([0.5, math.nan], "max", 0.3) == -WORST


def test_a_gap_in_the_middle_is_passed_over() -> None:
    assert smoothed([4.0, None, 1.0], "min", 0.5) == pytest.approx(2.0)


def test_distances_are_averaged_in_the_logarithm_and_shares_as_they_are() -> None:
    assert smoothed([100.0, 1.0], "min", 0.5) == pytest.approx(10.0)
    assert smoothed([0.2, 0.8], "max", 0.5) == pytest.approx(0.5)


def test_without_smoothing_the_last_value_counts() -> None:
    assert smoothed([9.0, 3.0], "min", 0.0) == pytest.approx(3.0)


@given(values=st.lists(st.floats(1e-3, 1e3), min_size=1), factor=st.floats(1e-2, 1e2))
def test_scaling_every_distance_scales_the_value(values: list[float], factor: float) -> None:
    scaled = smoothed([factor * value for value in values], "min", 0.3)
    assert scaled == pytest.approx(factor * smoothed(values, "min", 0.3), rel=1e-9)


def test_the_direction_follows_from_the_metric() -> None:
    assert direction("distance", None, POOL_CNN) == "min"
    assert direction("agreement", None, POOL_CNN) == "max"
    assert direction("fid", "min", INCEPTION) == "min"


@pytest.mark.parametrize(
    ("metric", "mode", "words"),
    [("fid", None, "unknown score 'fid'"), ("accuracy", "min", "set mode=max"), ("distance", "max", "set mode=min")],
)
def test_a_metric_or_direction_that_cannot_be_meant_is_refused(metric: str, mode: str | None, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        direction(metric, mode, POOL_CNN)
    assert words in str(refusal.value)


def test_the_names_are_those_that_a_run_writes() -> None:
    for name in ("fid", "kid", "fid_class_worst", "accuracy_balanced"):
        find_score(name, INCEPTION, "metric")
    for name in ("fd_pool-cnn", "kd_pool-cnn", "agreement"):
        find_score(name, POOL_CNN, "metric")

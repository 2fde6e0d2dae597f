"""A space is read, drawn and enumerated as it says; what cannot be meant is refused by name."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distal.errors import ConfigError
from distal.sweep.space import Choice, Range, describe_point, parse_space, point_id

CONDITIONAL = {
    "query.strategy": {"choice": ["random", "badge"]},
    "query.cold_start": {"choice": ["random", "coreset"], "when": {"query.strategy": "badge"}},
    "model.learning_rate_g": {"loguniform": [1e-4, 1e-2]},
}


def test_a_list_is_a_choice() -> None:
    (dimension,) = parse_space({"query.strategy": ["margin", "badge"]}).dimensions
    assert dimension == Choice("query.strategy", ("margin", "badge"), every=False)


def test_a_grid_is_every_combination_and_conditions_leave_keys_out() -> None:
    space = parse_space({key: CONDITIONAL[key] for key in ("query.cold_start", "query.strategy")})
    assert space.grid() == [
        {"query.strategy": "random"},
        {"query.strategy": "badge", "query.cold_start": "random"},
        {"query.strategy": "badge", "query.cold_start": "coreset"},
    ]


def test_points_are_a_function_of_the_seed_and_more_trials_keep_the_first() -> None:
    space = parse_space(CONDITIONAL)
    assert space.draw(3, 8) == space.draw(3, 8)
    assert space.draw(3, 8)[:5] == space.draw(3, 5)
    assert space.draw(4, 8) != space.draw(3, 8)


def test_each_combination_of_grid_keys_gets_its_own_draws() -> None:
    points = parse_space({"a": {"grid": [1, 2]}, "b": {"uniform": [0, 1]}}).draw(0, 3)
    assert [point["a"] for point in points] == [1, 1, 1, 2, 2, 2]
    assert len({point["b"] for point in points}) == 6


def test_a_small_space_gives_each_of_its_points_once() -> None:
    points = parse_space({"a": [1, 2], "b": [True, False]}).draw(0, 50)
    assert len(points) == len({point_id(point) for point in points}) == 4


@given(seed=st.integers(0, 2**31 - 1))
@settings(max_examples=50, deadline=None)
def test_a_condition_decides_which_keys_a_point_has(seed: int) -> None:
    for point in parse_space(CONDITIONAL).draw(seed, 4):
        assert ("query.cold_start" in point) == (point["query.strategy"] == "badge")
        assert 1e-4 <= point["model.learning_rate_g"] <= 1e-2


@given(low=st.floats(1e-6, 10), width=st.floats(1e-3, 100), uniform=st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_ranges_hold_what_they_draw(low: float, width: float, uniform: float) -> None:
    high = low + width
    for kind in ("uniform", "loguniform"):
        value = Range("k", kind, low, high).draw(uniform)  # type: ignore[arg-type]
        assert low * (1 - 1e-12) <= value <= high * (1 + 1e-12)


@given(uniform=st.floats(0, 1, exclude_max=True))
def test_steps_and_whole_numbers(uniform: float) -> None:
    assert Range("k", "quniform", 0.1, 0.9, 0.2).draw(uniform) in (0.2, 0.4, 0.6, 0.8)
    assert Range("k", "quniform", 10, 50, 10).draw(uniform) in (10, 20, 30, 40, 50)
    assert Range("k", "randint", 3, 6).draw(uniform) in (3, 4, 5)


def test_a_loguniform_range_is_even_in_the_logarithm() -> None:
    values = [Range("k", "loguniform", 1e-4, 1e-2).draw(u) for u in (0.0, 0.5, 0.999999999)]
    assert values == pytest.approx([1e-4, 1e-3, 1e-2])


def test_what_is_perturbed_out_of_a_range_is_brought_back() -> None:
    assert Range("k", "loguniform", 1e-4, 1e-2).clip(1.0) == 1e-2
    assert Range("k", "randint", 3, 6).clip(6) == 5
    assert Range("k", "quniform", 0, 1, 0.25).clip(0.6) == 0.5


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ({}, "nothing is searched"),
        ({"a": []}, "at least one value"),
        ({"a": {"choice": []}}, "at least one value"),
        ({"a": {"choice": "margin"}}, "list of at least one value"),
        ({"a": {"choice": [1, 1]}}, "twice"),
        ({"a": 3}, "kind: values"),
        ({"a": {"unifrom": [0, 1]}}, "did you mean 'uniform'"),
        ({"a": {"uniform": [0, 1], "choice": [1]}}, "one kind"),
        ({"a": {"when": {"b": 1}}}, "one kind"),
        ({"a": {"uniform": [1, 0]}}, "low < high"),
        ({"a": {"uniform": [0]}}, "[low, high]"),
        ({"a": {"uniform": [0, float("inf")]}}, "[low, high]"),
        ({"a": {"uniform": [0, True]}}, "[low, high]"),
        ({"a": {"loguniform": [0, 1]}}, "0 < low"),
        ({"a": {"loguniform": ["1e-4", 1]}}, "1.0e-3"),
        ({"a": {"quniform": [0, 1]}}, "[low, high, step]"),
        ({"a": {"quniform": [0, 1, 0]}}, "step > 0"),
        ({"a": {"randint": [0, 1.5]}}, "whole numbers"),
        ({"a": {"choice": [1], "when": {"b": 1}}}, "'b' is not searched"),
        ({"a": {"choice": [1], "when": {"a": 1}}}, "depends on 'a' itself"),
        ({"a": {"choice": [1], "when": {"b": 3}}, "b": [1, 2]}, "never 3"),
        ({"a": {"choice": [1], "when": {"b": 0.5}}, "b": {"uniform": [0, 1]}}, "is a range"),
        ({"a": {"choice": [1], "when": "b"}}, "one key and its values"),
    ],
)
def test_what_cannot_be_meant_is_refused(tree: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match="space") as refusal:
        parse_space(tree)
    assert words in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 3


def test_a_point_is_described_by_the_last_parts_of_its_keys() -> None:
    assert describe_point({"query.strategy": "badge", "model.regularizers.r1": 0.12345}) == "strategy badge, r1 0.123"
    assert describe_point({"a.x": 1, "b.x": 2}) == "a.x 1, b.x 2"
    assert describe_point({"a": ["flip", "zoom"], "b": None, "c": True}) == "a [flip, zoom], b null, c true"

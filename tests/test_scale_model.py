"""The model of docs/scale.md, which lies beside the benchmark that measures its constants."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from scale_model import (
    Overheads,
    Selecting,
    acquisition_s,
    first_below,
    strong_efficiency,
    weak_efficiency,
)

FREE = Overheads(100.0, 0.0, 0.0, 0.0, 0.0, 0.0, float("inf"))
NOTHING = Selecting("nothing", 0, 0.0, 0.0)


def test_without_overheads_shards_divide_the_time() -> None:
    assert acquisition_s(10, 1000, FREE, NOTHING) == pytest.approx(1.0)
    assert strong_efficiency(1000, 1e6, FREE, NOTHING) == pytest.approx(1.0)
    assert weak_efficiency(1000, 1e6, FREE, NOTHING) == pytest.approx(1.0)


def test_every_term_is_counted_as_often_as_it_is_paid() -> None:
    costs = Overheads(1e9, 1.0, 0.01, 5.0, 0.1, 1e-6, bandwidth=1e6, shards_per_node=8)
    selecting = Selecting("three calls", 3, 1e6, 7.0)

    seconds = acquisition_s(16, 0.0, costs, selecting)

    scoring = 1.0 + 0.1 + 16 * 0.01 + 2 * 5.0  # 16 shards of 8 a node
    calls = 3 * (0.1 + 16 * 0.01)
    traffic = 16 * (1.0 + 1.0)  # handled, and through the network
    assert seconds == pytest.approx(scoring + calls + 7.0 + traffic)


def test_a_node_that_is_not_full_gets_the_scorer_too() -> None:
    costs = replace(FREE, broadcast_s=1.0)
    assert acquisition_s(9, 0.0, costs, NOTHING) == pytest.approx(2.0)


def test_weak_efficiency_falls_to_a_half_where_overhead_equals_work() -> None:
    costs = replace(FREE, dispatch_s=0.01)
    assert weak_efficiency(101, 100.0, costs, NOTHING) == pytest.approx(0.5, abs=0.01)  # 1 s work, 1.01 s dispatch


def test_the_first_count_below_is_the_least_one() -> None:
    assert first_below(lambda n: 1 / n, 0.3) == 4
    assert first_below(lambda n: 1.0, 0.8) is None

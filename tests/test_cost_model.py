"""The model of what a pool costs in docs/scale.md: every term is counted as often as it is paid."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from cost_model import WIDTH, Assumed, Measured, figures

ONE = Measured(decode_64_s=1.0, decode_256_s=2.0, embed_s=3.0, write_s=0.0, look_s=4.0, dispatch_s=0.0)
TWO_NODES = Assumed(nodes=2, cores=5, store=1e3)


def test_rows_are_divided_among_all_cores_and_what_is_prepared_is_only_fetched_and_looked_at() -> None:
    found = figures(100, 64, ONE, TWO_NODES)
    assert found["first query, nothing prepared (s)"] == pytest.approx(100 / 10 * (1 + 3 + 4))
    row_bytes = 3 * 64**2 + 2 * WIDTH
    assert found["first query, prepared (s)"] == pytest.approx(100 * row_bytes / 2e3 + 40)
    assert found["disk a node (GB)"] == pytest.approx(50 * row_bytes / 1e9)
    assert figures(100, 256, ONE, TWO_NODES)["preparing ($)"] == pytest.approx(500 / 3600 * TWO_NODES.core_dollars)


def test_only_what_looks_at_all_rows_grows_with_the_pool() -> None:
    small, large = (figures(rows, 64, Measured(), Assumed()) for rows in (1e8, 1e9))
    same = {name for name in small if small[name] == large[name]}
    assert {name for name in small if "a step" in name} <= same
    assert {"choosing by badge in a sub-pool (s)", "a round's training and choosing ($)"} <= same
    assert "choosing by margin over all rows (s)" not in same

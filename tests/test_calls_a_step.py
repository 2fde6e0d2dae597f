"""The calls of a step that docs/scale.md has: counted over simulated shards, beside the model's figure."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from calls_a_step import Cluster

CLUSTER = Cluster(ranks=8, shards=200, nodes=4, rows=10**7, batch=32, labels=80, side=2)
UNLABELED, ROW_BYTES = 24, 3 * 2 * 2


@pytest.fixture(autouse=True)
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get", lambda asked, timeout: asked)


@pytest.mark.parametrize("run_length", [1, 8])
def test_a_rank_calls_as_many_shards_as_its_runs_meet_and_labeled_rows_travel_once(run_length: int) -> None:
    (first, first_bytes), (later, later_bytes) = CLUSTER.count(run_length, range(0, 8, 2), steps=20)
    model = CLUSTER.expected(run_length)
    # Means of 80 steps of about that many draws each, of which a quarter lies on the rank's own node: five deviations.
    assert later == pytest.approx(model, abs=5 * (model / 4 / 80) ** 0.5 + 1)
    assert later_bytes / ROW_BYTES == pytest.approx(0.75 * UNLABELED, rel=0.1)
    assert first > later
    assert first_bytes > later_bytes


def test_runs_of_eight_take_less_than_a_quarter_of_the_calls() -> None:
    assert CLUSTER.expected(8) < CLUSTER.expected(1) / 4
    assert CLUSTER.expected(1) == pytest.approx(0.75 * UNLABELED, rel=0.1)

"""What waits for a place is told apart from what has one and starts slowly."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from distal.pool.actors import ShardActors
from distal.pool.waiting import without_place

pytestmark = pytest.mark.system


class Slow:
    """Be there when a file is."""

    def __init__(self, gate: Path) -> None:
        while not gate.exists():
            time.sleep(0.05)


@pytest.fixture
def actors(local_ray: None, tmp_path: Path) -> Iterator[list[Any]]:
    """Ask for four actors that start slowly where there is room for three."""
    asked = [ray.remote(num_cpus=0.6)(Slow).remote(tmp_path / "gate") for _ in range(4)]
    yield asked
    for actor in asked:
        ray.kill(actor)


def test_an_actor_that_starts_waits_for_no_place_and_one_beyond_the_cpus_does(actors: list[Any]) -> None:
    deadline = time.monotonic() + 60.0
    while without_place({"CPU": 0.6, "GPU": 0.0}) != 1:
        assert time.monotonic() < deadline, without_place({"CPU": 0.6, "GPU": 0.0})
        time.sleep(0.2)
    assert ray.available_resources()["CPU"] == pytest.approx(0.2)
    assert without_place({"CPU": 0.5, "GPU": 0.0}) == 0


@pytest.mark.parametrize(
    ("unplaced", "which"),
    [
        (1, " (1 wait for a place, 2 have one and start)"),
        (9, " (3 wait for a place, 0 have one and start)"),
        (None, ""),
    ],
)
def test_shards_that_are_not_there_are_told_by_what_they_wait_for(
    monkeypatch: pytest.MonkeyPatch, unplaced: int | None, which: str
) -> None:
    monkeypatch.setattr("distal.pool.actors.without_place", lambda needs: unplaced)
    monkeypatch.setattr("distal.pool.actors.free_now", lambda: "0.2 CPUs and 0 GPUs")
    shards = ShardActors.__new__(ShardActors)
    shards.handles, shards._needs = [None] * 4, {"CPU": 0.007, "GPU": 0.0}
    assert shards._said(3, 31.2) == (
        f"3 of 4 shards of 0.007 CPUs and 0 GPUs are not there after 31 s{which}; free now: 0.2 CPUs and 0 GPUs"
    )

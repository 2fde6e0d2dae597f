"""Launching the training workers: with fewer than wanted, with more when there is room, and again when they died."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from ray.util import placement_group, placement_group_table, remove_placement_group

from distal import ActiveLearner, Config, ConfigError
from distal.communicator import Communicator
from distal.driver.launch import ControllerLostError, PlaceLostError, WorkerGroup
from distal.driver.workers import PlaceRequest, Workers, find_size
from distal.errors import TrainingError
from distal.resolve import make_config
from distal.run.ledger import Ledger

pytestmark = pytest.mark.system

GROUP = WorkerGroup("distal-test", workers=2, cpus=0.5, gpus=0.0, threads=1)


@pytest.fixture
def busy(local_ray: None) -> Iterator[Callable[[], None]]:
    """Hold 1.2 of the 2 CPUs for another's work, until called."""
    others = placement_group([{"CPU": 1.2}])
    assert others.wait(30)

    def release() -> None:
        if placement_group_table(others)["state"] != "REMOVED":
            remove_placement_group(others)

    yield release
    release()


def test_fewer_workers_than_none_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.min_workers: 3 is more than train\.workers=2"):
        make_config({"train": {"workers": 2, "min_workers": 3}})


def test_the_size_is_what_finds_a_place_beside_others(busy: Callable[[], None]) -> None:
    assert find_size(GROUP, [1, 2], Event(), settle_s=0.5) == 1
    busy()
    assert find_size(GROUP, [1, 2], Event(), settle_s=30.0) == 2


def test_who_waits_for_places_that_nobody_wants_any_more_stops_at_once(busy: Callable[[], None]) -> None:
    workers = Workers(lambda comm: None, replace(GROUP, workers=4), [2, 4], lambda: 0)
    waiting = Thread(target=workers.run)
    waiting.start()
    _wait_for_places(f"{GROUP.name}-place", "PENDING")
    workers.end()
    waiting.join(timeout=10)
    assert not waiting.is_alive()
    assert not _places(f"{GROUP.name}-place")


def test_workers_whose_place_others_take_before_they_begin_go_on_with_what_is_left(
    local_ray: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For 1 s Train waits for the place, here; then the scheduler is asked again."""
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "1")
    sizes, others = tmp_path / "sizes", list[Any]()
    withdraw = PlaceRequest.withdraw

    def lose_one(request: PlaceRequest) -> None:
        withdraw(request)
        if not others:
            others.append(placement_group([{"CPU": 1.2}]))
            assert others[0].wait(30)

    def note_size(comm: Communicator) -> None:
        with sizes.open("a") as file:
            file.write(f"{comm.size}\n")

    monkeypatch.setattr(PlaceRequest, "withdraw", lose_one)
    began = time.monotonic()
    Workers(note_size, GROUP, [1, 2], lambda: 0).run()
    remove_placement_group(others[0])
    assert sizes.read_text() == "1\n"
    assert time.monotonic() - began < 60.0


def test_a_run_begins_with_one_worker_and_goes_on_with_two_when_there_is_room(
    busy: Callable[[], None], small_config: Callable[..., Config], caplog: pytest.LogCaptureFixture
) -> None:
    query = {"strategy": "random", "batch": 10}
    plain = ActiveLearner(small_config(name="in-process", query=query, pool={"shards": 0}))
    plain.run()

    train = {"workers": 2, "min_workers": 1, "cpus_per_worker": 0.5}
    pool = {"shards": 1, "cpus_per_shard": 0.2}
    learner = ActiveLearner(small_config(query=query, pool=pool, train=train))
    with caplog.at_level(logging.INFO, logger="distal.driver.workers"):
        for result in learner.rounds():
            if result.round == 1:
                busy()
                _wait_for_places(f"distal-{learner.config.name}-place", "CREATED")
    assert caplog.messages == ["training with 1 of 2 workers", "training with 2 of 2 workers"]
    assert learner.outcome_ is not None
    assert (learner.outcome_.kind, learner.outcome_.reason) == ("stopped", "budget")
    assert not _places(f"distal-{learner.config.name}-place")

    assert [result.round for result in learner.results_] == [1, 2]
    for alone, grown in zip(plain.results_, learner.results_, strict=True):
        assert _asked(learner, grown.round) == _asked(plain, alone.round)
        assert grown.metrics["losses"] == pytest.approx(alone.metrics["losses"], rel=1e-2, abs=1e-3)


def _asked(learner: ActiveLearner, round: int) -> list[int]:
    query = Ledger(learner.run_directory).read_query(round)
    assert query is not None
    return query.row_ids.tolist()


def _places(name: str) -> list[Any]:
    return [p for p in placement_group_table().values() if p["name"].startswith(name) and p["state"] != "REMOVED"]


def _wait_for_places(name: str, state: str) -> None:
    deadline = time.monotonic() + 30
    while not any(place["state"] == state for place in _places(name)):
        assert time.monotonic() < deadline, placement_group_table()
        time.sleep(0.1)


class Died:
    """Launch as told: an error to raise, and how many rounds are committed by then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *ends: tuple[type[Exception] | None, int]) -> None:
        self.committed = 0
        self.restarts: list[int] = []
        self._ends = iter(ends)
        monkeypatch.setattr("distal.driver.workers.launch", self._launch)
        monkeypatch.setattr("distal.driver.workers.find_size", lambda group, sizes, ended: sizes[-1])

    def _launch(self, job: Any, group: WorkerGroup, restarts: int = 3) -> None:
        self.restarts.append(restarts)
        error, self.committed = next(self._ends)
        if error is not None:
            raise error("died")

    def run(self, sizes: list[int]) -> None:
        Workers(lambda comm: None, GROUP, sizes, lambda: self.committed).run()


def test_workers_that_die_without_a_commit_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    died = Died(monkeypatch, (TrainingError, 1), (TrainingError, 1))
    with pytest.raises(TrainingError):
        died.run([2])
    assert died.restarts == [3, 3]


def test_an_elastic_group_is_measured_anew_at_each_death_up_to_three(monkeypatch: pytest.MonkeyPatch) -> None:
    died = Died(monkeypatch, *[(TrainingError, 0)] * 3, (None, 0))
    died.run([1, 2])
    assert died.restarts == [0] * 4

    died = Died(monkeypatch, *[(TrainingError, 0)] * 4)
    with pytest.raises(TrainingError):
        died.run([1, 2])


def test_a_lost_controller_is_replaced_up_to_three_times_in_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    Died(monkeypatch, *[(ControllerLostError, 0)] * 3, (None, 0)).run([2])
    with pytest.raises(ControllerLostError):
        Died(monkeypatch, *[(ControllerLostError, 0)] * 4).run([2])


def test_a_place_that_others_take_is_no_failure_however_often(monkeypatch: pytest.MonkeyPatch) -> None:
    died = Died(monkeypatch, *[(PlaceLostError, 0)] * 9, (None, 0))
    died.run([1, 2])
    assert len(died.restarts) == 10

"""Kill what can be killed, at each phase, and hold the run to what an unbroken one writes.

What is guaranteed: an answer that is recorded is never asked again and never lost, and the final files are those of an
unbroken run, wall-clock fields aside. What cannot be: an answer that the user's function has returned and whose file
had not got its name when the process was killed is asked again, that one row alone (see the test that says so).
"""

import os
import re
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from crash_driver import LabelFunction, at_event
from two_rounds import (
    BATCH,
    alive,
    driver,
    final_files,
    killed,
    ray_processes,
    require_asked_once,
    require_same,
    run_of,
    tree,
    wait_until,
)

from distal import ActiveLearner, StorageError
from distal.cli.status import describe_status
from distal.data.table import ImageTable
from distal.driver.launch import BOOKKEEPING, bookkeeping
from distal.query import STRATEGIES, Strategy, View
from distal.run.ledger import Ledger

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.usefixtures("local_ray")]

RAY_AGENTS = r"ray::(DashboardAgent|RuntimeEnvAgent)"
"""Two idle processes that Ray 2.60 itself leaves behind where a bare `ray.init()` is killed; they hold no run."""

WALK = {
    "event:0:prepare:0": "round 1: choose",
    "rename:rounds/0001/checkpoint/manifest.json": "round 1: train",
    "rename:stopped.json+report.html": "nothing: ended, ",
}
"""Where the driver is killed, one after another in one run, and what `distal status` says is next: while shard actors
start, while a file has its temporary name alone, and when the run has ended. `tests/test_rounds.py` goes on from the
loss of each single file, and other tests here kill in training and between answers."""


def test_a_driver_killed_three_times_in_one_run_ends_with_the_files_of_an_unbroken_run(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    for crash, next_step in WALK.items():
        shards = int(next_step == "round 1: choose")
        assert killed(driver(tmp_path, crash, shards)), f"the driver was to be killed at {crash}"
        assert run_of(tmp_path).holder() is None, f"the killed driver still holds the run after {crash}"
        assert f"next       {next_step}" in describe_status(run_of(tmp_path)), crash
    ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked")).run()
    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)


def test_an_answer_whose_file_had_no_name_yet_is_the_only_one_that_is_asked_again(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    assert killed(driver(tmp_path, "rename:rounds/0001/labels.parquet:4"))
    assert len(Ledger(run_of(tmp_path)).answers(1)) == 3

    ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked")).run()

    noted = [int(line) for line in (tmp_path / "asked").read_text().split()]
    fourth = int(Ledger(run_of(tmp_path)).read_query(1).row_ids[3])  # type: ignore[union-attr]
    assert {row: n for row, n in Counter(noted).items() if n > 1} == {fourth: 2}
    require_same(tmp_path, unbroken)


def test_a_killed_driver_with_its_own_ray_and_worker_leaves_no_process_and_the_run_goes_on_without_workers(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    process = driver(tmp_path, "event:1:train:20", workers=1, own_ray=True)
    family: set[psutil.Process] = set()
    while process.is_alive():
        try:
            family |= set(psutil.Process(process.pid).children(recursive=True))
        except psutil.Error:  # it ended while we looked
            break
        time.sleep(0.2)
    assert killed(process)
    assert len(family) > 3  # the driver's own Ray: its servers, two actors, a worker
    agents = [p for p in family if alive(p) and re.match(RAY_AGENTS, " ".join(p.cmdline()))]
    wait_until(lambda: not [p for p in family if p not in agents and alive(p)], "the killed driver's Ray was gone")
    for agent in agents:
        agent.kill()
    assert list(Path(tempfile.gettempdir()).glob(f"{BOOKKEEPING}*"))

    ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked")).run()

    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)
    with bookkeeping():  # as the next launch with workers does
        assert len(list(Path(tempfile.gettempdir()).glob(f"{BOOKKEEPING}*"))) == 1


def test_shards_killed_while_scoring_while_people_label_and_while_selecting_give_the_same_queries(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    def kill_and_wait_for_the_restart(answered: int) -> None:
        if answered == 1:
            before = ray_processes("HeldShard")
            assert len(before) == 2
            for process in before:
                process.kill()
            wait_until(lambda: len(set(ray_processes("HeldShard")) - set(before)) == 2, "Ray restarted both shards")

    def kill_one() -> None:
        ray_processes("HeldShard")[0].kill()

    marker = tmp_path / "killed"

    def margin_after_a_kill(view: View) -> Any:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return STRATEGIES.find("margin").make(view)

    learner = ActiveLearner(
        tree(tmp_path, shards=2),
        oracle=LabelFunction(tmp_path / "asked", kill_and_wait_for_the_restart),
        strategy=Strategy("margin", frozenset({"probs"}), "score", margin_after_a_kill),
        listen=at_event("1:acquire:0", kill_one),
    )
    learner.run()

    assert marker.exists()
    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)


def test_either_of_two_train_workers_may_be_killed_while_people_label_training_and_choosing(tmp_path: Path) -> None:
    """Two ranks agree with one up to the order of sums, so the rows are chosen by what sums do not change."""
    alone, broken = tmp_path / "alone", tmp_path / "broken"
    for storage in (alone, broken):
        storage.mkdir()
    by_chance = {"query": {"strategy": "random", "batch": BATCH}}
    ActiveLearner({**tree(alone), **by_chance}, oracle=LabelFunction(alone / "asked")).run()
    victims: list[int] = []

    def kill_rank_1() -> None:
        writer = run_of(broken).holder("writer")
        other = next(p for p in ray_processes("RayTrainWorker") if writer is not None and p.pid != writer.pid)
        victims.append(other.pid)
        other.kill()

    kills = [
        at_event("1:annotate:2", kill_writer(broken, victims)),
        at_event("1:train:20", kill_rank_1),
        at_event("2:acquire:0", kill_writer(broken, victims)),
    ]
    outcome = ActiveLearner(
        {**tree(broken, workers=2), **by_chance},
        oracle=LabelFunction(broken / "asked"),
        listen=lambda event: [kill(event) for kill in kills],  # type: ignore[arg-type,return-value]
    ).run()

    assert outcome.kind == "stopped"
    assert len(set(victims)) == 3
    require_asked_once(broken)
    files, expected = final_files(broken), final_files(alone)
    assert sorted(files) == sorted(expected)
    for number in (1, 2):
        for name in ("query.parquet", "labels.parquet"):
            assert files[f"rounds/{number:04d}/{name}"] == expected[f"rounds/{number:04d}/{name}"]
    # After some sixty updates the order of sums has found a kink of a leaky ReLU, and losses go ways of their own.
    losses, theirs = (each["rounds/0001/metrics.json"]["losses"] for each in (files, expected))
    assert losses == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def kill_writer(storage: Path, victims: list[int]) -> Callable[[], None]:
    """Return what kills the process that holds the run as its writer: rank 0 of the training workers."""

    def kill() -> None:
        writer = run_of(storage).holder("writer")
        assert writer is not None
        assert writer.pid != os.getpid()
        victims.append(writer.pid)
        os.kill(writer.pid, signal.SIGKILL)

    return kill


def test_an_error_of_one_of_two_workers_alone_ends_the_run_with_its_message(tmp_path: Path) -> None:
    """The other rank is in an exchange by then, and would wait there."""

    class FailingOnTheSecondRank(ImageTable):
        def pixels(self, row_ids: Any) -> Any:
            if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
                raise StorageError("no space left for rank 1")
            return super().pixels(row_ids)

    learner = ActiveLearner(tree(tmp_path, workers=2), oracle=LabelFunction(tmp_path / "asked"))
    learner._opened.images.__class__ = FailingOnTheSecondRank
    with pytest.raises(StorageError, match="no space left for rank 1"):
        learner.run()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "distal-rounds"], "the rounds' thread ended")
    wait_until(lambda: ray.available_resources().get("CPU") == 2.0, "all CPUs were given back")

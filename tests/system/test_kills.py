"""Kill what can be killed, at each phase, and hold the run to what an unbroken one writes.

What is guaranteed: an answer that is recorded is never asked again and never lost, and the final files are those of an
unbroken run, wall-clock fields aside. What cannot be: an answer that the user's function has returned and whose file
had not got its name when the process was killed is asked again, that one row alone (see the test that says so).
"""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
import ray
import yaml
from crash_driver import LabelFunction, at_answer, at_event, drive

from distal import ActiveLearner, OracleError, RunLockedError, StorageError, StrategyError
from distal.ledger import Ledger
from distal.query import Strategy, View, get_strategy
from distal.rundir import RunDirectory
from distal.status import describe_status

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

BATCH = 6
ROUNDS = 2
END_S = 60.0
"""How long a process may take to be gone: far more than it needs on a busy machine."""

RAY_AGENTS = r"ray::(DashboardAgent|RuntimeEnvAgent)"
"""Two idle processes that Ray 2.60 itself leaves behind where a bare `ray.init()` is killed; they hold no run."""

WALK = {
    "event:0:prepare:0": "round 1: choose",
    "event:0:reference:0": "round 1: choose",
    "rename:rounds/0001/query.parquet": "round 1: choose",
    "answer:2": "round 1: 4 of 6 labels",
    "event:1:train:20": "round 1: train",
    "rename:rounds/0001/checkpoint/manifest.json": "round 1: train",
    "rename:rounds/0001/samples.png": "round 1: evaluate",
    "rename:rounds/0001/metrics.json": "round 1: evaluate",
    "rename:rounds/0001/COMMITTED": "round 1: evaluate",
    "answer:3": "round 2: 3 of 6 labels",
    "event:2:train:40": "round 2: train",
    "rename:report.html": "nothing: the run has ended",
}
"""Where the driver is killed, one after another in one run, and what `distal status` says is next."""


@pytest.fixture(scope="module", autouse=True)
def _one_ray(local_ray: None) -> None:
    """Have one Ray for all tests here: drivers in other processes connect to it."""


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run without any disturbance, with no training workers, and return the files."""
    storage = tmp_path_factory.mktemp("unbroken")
    ActiveLearner(tree(storage), oracle=LabelFunction(storage / "asked")).run()
    return final_files(storage)


def tree(storage: Path, shards: int = 1, workers: int = 0) -> dict[str, Any]:
    """Describe a run of two rounds that trains in seconds and reports every 20 of its 60 steps."""
    return {
        "name": "run",
        "storage": str(storage),
        "rounds": ROUNDS,
        "pool": {"shards": shards},
        "query": {"batch": BATCH},
        "train": {"steps": 60, "batch_size": 16, "threads": 1, "workers": workers},
        "evaluate": {"samples": 64, "reference": 200},
    }


def final_files(storage: Path) -> dict[str, Any]:
    """Return every file of the run by its path: bytes, or without wall-clock fields, place and number of workers."""
    root = storage / "run"
    files: dict[str, Any] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".lock-")):
        content: Any = path.read_bytes()
        if path.name == "report.html":
            content = "a report"
        elif path.name == "metrics.json":
            content = {k: v for k, v in json.loads(content).items() if k != "seconds"}
        elif path.name == "labels.parquet":
            content = pq.read_table(path).drop_columns(["time"]).to_pylist()
        elif path.name == "config.yaml":
            content = yaml.safe_load(content)
            del content["storage"], content["train"]["workers"], content["pool"]["shards"]
        files[str(path.relative_to(root))] = content
    return files


def require_same(storage: Path, expected: dict[str, Any]) -> None:
    """Require the files of the run to be the expected ones, no more and no fewer."""
    found = final_files(storage)
    assert sorted(found) == sorted(expected)
    assert [path for path in expected if found[path] != expected[path]] == []


def require_asked_once(storage: Path) -> None:
    """Require the label function's own notes to name every row of the run, each once."""
    noted = Counter(int(line) for line in (storage / "asked").read_text().split())
    assert sorted(noted) == Ledger(run_of(storage)).asked().tolist()
    assert max(noted.values()) == 1
    assert noted.total() == ROUNDS * BATCH


def run_of(storage: Path) -> RunDirectory:
    return RunDirectory.open(str(storage), "run")


def driver(storage: Path, crash: str, workers: int = 0, own_ray: bool = False) -> Any:
    """Start a driver process; it is forked from one that has distal imported, which saves seconds each."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["crash_driver"])
    address = None if own_ray else ray.get_runtime_context().gcs_address
    arguments = (tree(storage, workers=workers), str(storage / "asked"), crash, address, str(storage / "said"))
    process = processes.Process(target=drive, args=arguments)
    process.start()
    return process


def killed(process: Any) -> bool:
    process.join(200)
    return bool(process.exitcode == -signal.SIGKILL)


def ray_processes(title: str) -> list[psutil.Process]:
    """Return the workers of this test session's Ray whose title has these words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if re.match(rf"ray::.*{title}", " ".join(process.cmdline())):
                found.append(process)
        except psutil.Error:  # it ended while we looked
            continue
    return found


def alive(process: psutil.Process) -> bool:
    """Say whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(true: Callable[[], object], what: str, seconds: float = END_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain until {what}"
        time.sleep(0.1)


def test_a_driver_killed_at_every_phase_one_after_another_ends_with_the_files_of_an_unbroken_run(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    for crash, next_step in WALK.items():
        assert killed(driver(tmp_path, crash)), f"the driver was to be killed at {crash}"
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

    ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked")).run()

    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)


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
        return get_strategy("margin").make(view)

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


def test_a_train_worker_killed_three_times_is_restarted_and_the_run_ends_by_itself(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    victims: list[int] = []
    kills = [
        at_event(place, kill_writer(tmp_path, victims)) for place in ("1:annotate:2", "1:train:20", "2:evaluate:0")
    ]

    outcome = ActiveLearner(
        tree(tmp_path, workers=1),
        oracle=LabelFunction(tmp_path / "asked"),
        listen=lambda event: [kill(event) for kill in kills],  # type: ignore[arg-type,return-value]
    ).run()

    assert outcome.kind == "stopped"
    assert len(set(victims)) == 3
    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)


def test_either_of_two_train_workers_may_be_killed(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for storage in (whole, broken):
        storage.mkdir()
    ActiveLearner(tree(whole, workers=2), oracle=LabelFunction(whole / "asked")).run()
    victims: list[int] = []

    def kill_rank_1() -> None:
        writer = run_of(broken).holder("writer")
        other = next(p for p in ray_processes("RayTrainWorker") if writer is not None and p.pid != writer.pid)
        victims.append(other.pid)
        other.kill()

    kills = [at_event("1:train:20", kill_rank_1), at_event("2:acquire:0", kill_writer(broken, victims))]
    ActiveLearner(
        tree(broken, workers=2),
        oracle=LabelFunction(broken / "asked"),
        listen=lambda event: [kill(event) for kill in kills],  # type: ignore[arg-type,return-value]
    ).run()

    assert len(set(victims)) == 2
    require_same(broken, final_files(whole))
    require_asked_once(broken)


def kill_writer(storage: Path, victims: list[int]) -> Callable[[], None]:
    """Return what kills the process that holds the run as its writer: rank 0 of the training workers."""

    def kill() -> None:
        writer = run_of(storage).holder("writer")
        assert writer is not None
        assert writer.pid != os.getpid()
        victims.append(writer.pid)
        os.kill(writer.pid, signal.SIGKILL)

    return kill


def test_a_second_driver_on_a_run_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    learner = ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked"))
    for result in learner.rounds():
        if result.round == 1:
            second = driver(tmp_path, "none")
            second.join(200)
            assert second.exitcode == RunLockedError.exit_code
            assert f"held by process {os.getpid()} on" in (tmp_path / "said").read_text()
    assert learner.outcome_ is not None
    assert [result.round for result in learner.results_] == [1, 2]
    require_asked_once(tmp_path)


def test_a_label_function_that_raises_keeps_what_it_answered(tmp_path: Path, unbroken: dict[str, Any]) -> None:
    def fail() -> None:
        raise KeyError("no such patient")

    function = LabelFunction(tmp_path / "asked", at_answer("4", fail))
    with pytest.raises(OracleError, match=r"KeyError: 'no such patient'\n4 answers of round 1 are kept"):
        ActiveLearner(tree(tmp_path), oracle=function).run()

    ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked")).run()

    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)


def test_leaving_the_loop_over_rounds_ends_threads_and_actors_at_once_and_the_same_object_goes_on(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    learner = ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked"))
    rounds = learner.rounds()
    assert next(rounds).round == 1
    started = time.monotonic()
    rounds.close()  # what leaving a for loop does
    assert time.monotonic() - started < 10.0
    assert not [thread for thread in threading.enumerate() if thread.name == "distal-rounds"]
    wait_until(lambda: not ray_processes("HeldShard"), "the shard actors were gone")

    learner.run()

    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_strategy_that_raises_is_named_with_its_line_and_is_not_tried_again(tmp_path: Path, workers: int) -> None:
    def broken(view: View) -> Any:
        return np.zeros(3) @ np.zeros(4)

    learner = ActiveLearner(
        {**tree(tmp_path, workers=workers), "query": {"batch": BATCH, "cold_start": "margin"}},
        oracle=LabelFunction(tmp_path / "asked"),
        strategy=Strategy("broken", frozenset(), "score", broken),
    )
    with pytest.raises(StrategyError, match=r"raised ValueError: matmul.*\n.*test_kills.py, line \d+, broken\(\)"):
        learner.run()
    assert len(Ledger(run_of(tmp_path)).answers(1)) == BATCH


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that has room for one round, not for two."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "none", place], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_says_so_loses_nothing_and_the_run_goes_on_when_there_is_room(
    small_disk: Path, unbroken: dict[str, Any], workers: int
) -> None:
    function = LabelFunction(small_disk.parent / "asked")
    with pytest.raises(StorageError, match="no space left"):
        ActiveLearner(tree(small_disk, workers=workers), oracle=function).run()
    assert run_of(small_disk).committed() == [1]
    assert len(Ledger(run_of(small_disk)).answers(2)) == BATCH

    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    ActiveLearner(tree(small_disk, workers=workers), oracle=function).run()

    require_same(small_disk, unbroken)
    assert function.answered == ROUNDS * BATCH


def test_ctrl_c_ends_with_code_130_and_a_run_that_can_be_taken_up(tmp_path: Path) -> None:
    settings = ["train.steps=1000000", "train.workers=1", "evaluate.samples=64", "query.batch=6", "rounds=1"]
    command = [sys.executable, "-m", "distal", "run", f"storage={tmp_path}", "name=run", *settings]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_until(lambda: run_of(tmp_path).has("rounds/0001/labels.parquet"), "round 1 was labeled", 200.0)

    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the driver and all it has started

    _, said = process.communicate(timeout=END_S)
    assert process.returncode == 130
    assert "every answered label and committed round is kept" in said
    assert "Traceback" not in said
    assert run_of(tmp_path).holder() is None
    assert "next       round 1: train" in describe_status(run_of(tmp_path))
    assert not run_of(tmp_path).has(".train")

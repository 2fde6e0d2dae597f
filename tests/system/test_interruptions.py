"""End a run without a kill: a second driver, an exception, a left loop, a full disk, Ctrl-C. Nothing is lost."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from commands import started
from crash_driver import LabelFunction, at_answer
from shared_extractor import share_extractor
from two_rounds import BATCH, END_S, ROUNDS, ray_processes, require_asked_once, require_same, run_of, tree, wait_until

from distal import ActiveLearner, OracleError, RunLockedError, StorageError, StrategyError
from distal.cli.status import describe_status
from distal.errors import ClusterError
from distal.query import Strategy, View
from distal.run.ledger import Ledger

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.usefixtures("local_ray")]


def test_a_second_driver_on_a_run_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    learner = ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked"))
    for result in learner.rounds():
        if result.round == 1:
            with pytest.raises(RunLockedError, match=f"held by process {os.getpid()} on"):
                ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked")).run()
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


def test_leaving_the_loop_over_rounds_ends_threads_workers_and_actors_at_once_and_the_run_goes_on_without_them(
    tmp_path: Path, unbroken: dict[str, Any]
) -> None:
    learner = ActiveLearner(tree(tmp_path, workers=1), oracle=LabelFunction(tmp_path / "asked"))
    rounds = learner.rounds()
    assert next(rounds).round == 1
    started = time.monotonic()
    rounds.close()  # what leaving a for loop does
    assert time.monotonic() - started < 10.0
    assert not [thread for thread in threading.enumerate() if thread.name == "distal-rounds"]
    wait_until(lambda: not ray_processes("HeldShard|RayTrainWorker"), "the actors were gone")

    ActiveLearner(tree(tmp_path), oracle=LabelFunction(tmp_path / "asked")).run()

    require_same(tmp_path, unbroken)
    require_asked_once(tmp_path)


@pytest.mark.parametrize("shards", [0, 1])
def test_a_strategy_that_raises_is_named_with_its_line_and_is_not_tried_again(tmp_path: Path, shards: int) -> None:
    def broken(view: View) -> Any:
        return np.zeros(3) @ np.zeros(4)

    learner = ActiveLearner(
        {**tree(tmp_path, shards), "query": {"batch": BATCH, "cold_start": "margin"}},
        oracle=LabelFunction(tmp_path / "asked"),
        strategy=Strategy("broken", frozenset(), "score", broken),
    )
    with pytest.raises(StrategyError, match=r"raised ValueError: matmul.*\n.*interruptions.py, line \d+, broken\(\)"):
        learner.run()
    assert len(Ledger(run_of(tmp_path)).answers(1)) == BATCH


def test_a_full_disk_says_so_loses_nothing_and_the_run_goes_on_when_there_is_room(
    small_disk: Path, unbroken: dict[str, Any]
) -> None:
    function = LabelFunction(small_disk.parent / "asked")
    with pytest.raises(StorageError, match="no space left"):
        ActiveLearner(tree(small_disk), oracle=function).run()
    assert run_of(small_disk).committed() == [1]
    assert len(Ledger(run_of(small_disk)).answers(2)) == BATCH

    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    ActiveLearner(tree(small_disk), oracle=function).run()

    require_same(small_disk, unbroken)
    assert function.answered == ROUNDS * BATCH


@pytest.mark.parametrize(
    ("end", "code", "workers"),
    [(signal.SIGINT, 130, 0), (signal.SIGINT, 130, 1), (signal.SIGTERM, 143, 1)],
    ids=["ctrl-c", "ctrl-c-with-a-worker", "sigterm-with-a-worker"],
)
def test_ctrl_c_and_sigterm_end_in_words_and_leave_a_run_that_can_be_taken_up(
    tmp_path: Path, end: signal.Signals, code: int, workers: int
) -> None:
    share_extractor(tmp_path)
    settings = [
        f"train.workers={workers}",
        f"pool.shards={workers}",
        "train.steps=1000000",
        "evaluate.samples=64",
        "query.batch=6",
        "rounds=1",
    ]
    with started("run", f"storage={tmp_path}", "name=run", *settings) as process:
        wait_until(lambda: run_of(tmp_path).has("rounds/0001/labels.parquet"), "round 1 was labeled", 200.0)
        os.killpg(process.pid, end)  # as a terminal and Slurm do: to the driver and all it has started
        said, _ = process.communicate(timeout=END_S)
    assert process.returncode == code
    assert f"every answered label and committed round is kept: distal resume {tmp_path}/run" in said
    assert run_of(tmp_path).has("report.html")
    assert "Traceback" not in said
    assert "***" not in said
    assert run_of(tmp_path).holder() is None
    assert "next       round 1: train" in describe_status(run_of(tmp_path))
    assert not run_of(tmp_path).has(".train")


def test_a_run_whose_raylet_is_killed_ends_in_our_words_before_ray_ends_the_process(tmp_path: Path) -> None:
    share_extractor(tmp_path)
    settings = [
        "train.workers=1",
        "pool.shards=1",
        "train.steps=1000000",
        "evaluate.samples=64",
        "query.batch=6",
        "rounds=1",
    ]
    with started("run", f"storage={tmp_path}", "name=run", *settings) as process:
        wait_until(lambda: run_of(tmp_path).has("rounds/0001/labels.parquet"), "round 1 was labeled", 200.0)
        next(p for p in psutil.Process(process.pid).children() if p.name() == "raylet").kill()
        said, _ = process.communicate(timeout=END_S)
    assert process.returncode == ClusterError.exit_code
    assert "error: this machine's raylet, by which this process speaks to Ray, was killed" in said
    assert "state-dump" not in said
    assert "Traceback" not in said
    assert run_of(tmp_path).holder() is None
    assert "next       round 1: train" in describe_status(run_of(tmp_path))

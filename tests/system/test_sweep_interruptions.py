"""End a sweep in the middle: kill -9, Ctrl-C. Nothing done is done again."""

import signal
from pathlib import Path
from typing import Any

import pytest
from commands import started
from small_sweeps import ROUNDS, committed, results_of, sweep_tree, write_sweep
from two_rounds import alive, ray_processes, wait_until

from distal.sweep.resolve import make_sweep
from distal.sweep.results import Results
from distal.sweep.tuner import run_sweep

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SPACE = {"model.learning_rate_g": {"grid": [2e-4, 4e-4, 8e-4]}}
START_S = 150.0


def tree(storage: Path, decoded: Path, **settings: Any) -> dict[str, Any]:
    return sweep_tree(storage, decoded, SPACE, searcher="grid", early_stop={"scheduler": "none"}, **settings)


def require_all_finished(storage: Path, before: dict[str, float]) -> None:
    """Require every trial to be done, and what was committed before to be as it was then."""
    assert [(trial.state, len(trial.curve)) for trial in results_of(storage).trials] == [("finished", ROUNDS)] * 3
    assert before.items() <= committed(storage).items()


def require_more_to_do(results: Results) -> None:
    """Require a trial not to have ended, or not to have begun, and none to have failed."""
    states = [trial.state for trial in results.trials]
    assert "unfinished" in states or len(states) < 3
    assert "failed" not in states


def test_a_sweep_that_is_killed_and_then_ended_by_control_c_loses_nothing(
    local_ray: None, tmp_path: Path, decoded: Path
) -> None:
    sweep = tree(tmp_path, decoded)
    file = str(write_sweep(tmp_path, sweep))
    with started("tune", file):
        wait_until(lambda: len(committed(tmp_path)) >= 2, "two rounds are committed", START_S)
        trials = ray_processes("(SweepTrial|ResourceTrainable)")  # at rest, and at a round
    # They outlive the killed driver until Ray ends them, and may commit what they were at.
    wait_until(lambda: not any(alive(trial) for trial in trials), "the killed sweep's trials were gone")
    killed = committed(tmp_path)
    assert trials
    assert killed

    with started("tune", file, "--resume") as process:
        wait_until(lambda: len(committed(tmp_path)) > len(killed), "another round is committed", START_S)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "--resume" in output
    require_more_to_do(results_of(tmp_path))
    before = committed(tmp_path)
    assert killed.items() <= before.items()

    run_sweep(make_sweep(sweep), resume=True)
    require_all_finished(tmp_path, before)

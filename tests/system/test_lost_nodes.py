"""A cluster of this machine loses a node under a sweep and one under training workers: both go on with what is left."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_sweeps import results_of, sweep_tree, write_sweep

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]

SCRIPT = Path(__file__).with_name("lost_nodes.py")
TESTS = Path(__file__).parents[1]
ROUNDS = 20
SPACE = {"model.learning_rate_g": {"grid": [2e-4, 4e-4, 8e-4]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lost")


@pytest.fixture(scope="module")
def said(folder: Path, decoded: Path) -> str:
    """Run both on one cluster, and return what the script says."""
    own = {"searcher": "grid", "early_stop": {"scheduler": "none"}, "base": {"rounds": ROUNDS}}
    sweep = sweep_tree(folder, decoded, SPACE, shared=False, **own)
    command = [sys.executable, str(SCRIPT), str(write_sweep(folder, sweep))]
    found = os.pathsep.join([str(TESTS), str(TESTS / "sweep"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, check=False, env={**os.environ, "PYTHONPATH": found}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_node_that_is_lost_takes_no_trial_with_it(said: str, folder: Path) -> None:
    assert "gone 1 states ['finished', 'finished', 'finished']" in said
    assert [(trial.state, len(trial.curve)) for trial in results_of(folder).trials] == [("finished", ROUNDS)] * 3


def test_workers_whose_node_is_taken_back_go_on_with_what_is_left_within_a_minute(said: str) -> None:
    told = re.search(r"workers \['2', '1'\] after (\d+) s", said)
    assert told is not None, said
    assert int(told[1]) < 60

"""On a cluster whose head has no CPUs: a sweep begins when nodes join, and what is lost with a node changes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_sweeps import results_of, sweep_tree, write_sweep

pytestmark = [pytest.mark.system, pytest.mark.timeout(700)]

SCRIPT = Path(__file__).with_name("lost_nodes.py")
TESTS = Path(__file__).parents[1]
ROUNDS = 20
SPACE = {"model.learning_rate_g": {"grid": [2e-4, 4e-4, 8e-4]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lost")


@pytest.fixture(scope="module")
def said(folder: Path, decoded: Path) -> str:
    """Do all of it on one cluster, and return what the script says."""
    base = {"rounds": ROUNDS, "autoscaling": True}
    own = {"searcher": "grid", "early_stop": {"scheduler": "none"}, "base": base}
    sweep = sweep_tree(folder, decoded, SPACE, shared=False, **own)
    command = [sys.executable, str(SCRIPT), str(write_sweep(folder, sweep))]
    found = os.pathsep.join([str(TESTS), str(TESTS / "sweep"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "PYTHONPATH": found}
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def test_trials_begin_when_nodes_join_a_head_without_cpus_and_a_lost_node_takes_none_with_it(
    said: str, folder: Path
) -> None:
    assert "sweep=finished,finished,finished waited=True" in said
    assert [(trial.state, len(trial.curve)) for trial in results_of(folder).trials] == [("finished", ROUNDS)] * 3


def test_workers_whose_node_is_taken_back_go_on_with_what_is_left_within_a_minute(said: str) -> None:
    told = re.search(r"workers=2,1 after_s=(\d+)", said)
    assert told is not None, said
    assert int(told[1]) < 60


def test_four_shards_of_a_lost_node_without_another_place_leave_their_rows_to_the_fifth(said: str) -> None:
    assert re.search(r"lost=cut same=True actors=1 ", said), said


def test_four_shards_of_a_lost_node_go_on_on_another_with_the_same_query(said: str) -> None:
    assert re.search(r"lost=restarted same=True actors=5 ", said), said


def test_shards_sit_beside_the_workers_whose_places_were_held(said: str) -> None:
    assert "held=False gpus=1 both_workers=False" in said, said
    assert "held=True gpus=2 both_workers=True" in said, said


def test_a_node_that_is_told_to_go_is_heard_of(said: str) -> None:
    assert re.search(r"drains=0,[01],1", said), said

"""Jobs on a real cluster of several nodes with token authentication: what they write, what is refused, what is said.

At the end the head is taken away, and nodes of the cluster that is started in its place.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import started
from local_cluster import LocalCluster, cluster_tree, in_one_process, local_cluster
from namespaces import network
from shared_extractor import share_extractor
from small_sweeps import results_of, sweep_tree, write_sweep
from taken_nodes import (
    PHASE_S,
    SOON_COUNTED_AS_DEAD,
    add,
    head_of,
    lose_who_trains,
    take_away_while_scoring,
)
from two_rounds import final_files, wait_until

import distal
from distal.checkpoints import read_saved
from distal.resolve import make_config, with_values
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger
from distal.sweep.trials import read_results

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

SECRET = "the-secret-value-5a1f"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster(2) as running:
        yield running


@pytest.fixture(scope="module")
def run_tree(tmp_path_factory: pytest.TempPathFactory, decoded: Path) -> dict[str, Any]:
    """Describe two short rounds on two shards and a worker, labeled by the data set."""
    return cluster_tree(tmp_path_factory.mktemp("run"), decoded, steps=20, samples=64)


@pytest.fixture(scope="module")
def submitted(
    cluster: LocalCluster, run_tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Submit the run, with a secret in its environment, and follow it to its end."""
    storage = tmp_path_factory.mktemp("submitted")
    share_extractor(storage)
    path = write_sweep(storage, run_tree)
    done = cluster.distal("submit", str(path), f"storage={storage}", "--env", "MY_SECRET", MY_SECRET=SECRET)
    assert done.returncode == 0, done.stdout + done.stderr
    return storage, done


@pytest.fixture(scope="module")
def told(cluster: LocalCluster, submitted: tuple[Path, Any]) -> str:
    """Return what is said of the job that has ended."""
    return cluster.distal("jobs", "status", "run").stdout


def test_a_job_shows_its_progress_and_writes_what_the_run_in_this_process_writes(
    submitted: tuple[Path, Any], run_tree: dict[str, Any], tmp_path: Path
) -> None:
    storage, done = submitted
    assert "round 2/2   committed" in done.stdout
    assert f"report: {storage}/run/report.html" in done.stdout
    share_extractor(tmp_path)
    distal.ActiveLearner(in_one_process(run_tree, tmp_path)).run()
    assert final_files(storage) == final_files(tmp_path)


def test_a_finished_run_sent_again_is_continued_by_a_second_job(
    cluster: LocalCluster, submitted: tuple[Path, Any], told: str, run_tree: dict[str, Any], tmp_path: Path
) -> None:
    storage, _ = submitted
    assert "SUCCEEDED (exit code 0)" in told
    assert "2 of 2 committed" in told
    path = write_sweep(tmp_path, run_tree)
    again = cluster.distal("submit", str(path), f"storage={storage}", "pool.shards=0", "train.workers=0")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "the label budget is spent" in again.stdout
    listed = cluster.distal("jobs", "list").stdout.splitlines()
    assert [line.split()[1] for line in listed if str(storage) in line] == ["SUCCEEDED", "SUCCEEDED"]
    assert "round 1/2   committed" in cluster.distal("jobs", "logs", listed[0].split()[0]).stdout


def test_a_variable_handed_over_by_name_is_in_no_file_and_no_output(
    cluster: LocalCluster, submitted: tuple[Path, subprocess.CompletedProcess[str]], told: str
) -> None:
    storage, done = submitted
    assert SECRET not in done.stdout + done.stderr + told
    kept = [path for path in storage.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    logs = cluster.folder.glob("n/*/session_2*/logs/**/*")
    logged = [path for path in logs if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert (kept, logged) == ([], [])


def endless(tree: dict[str, Any], name: str, storage: Path) -> dict[str, Any]:
    """Describe the run so that it does not end by itself, and starts few processes."""
    share_extractor(storage)
    whole = in_one_process(tree, storage)
    return {**whole, "name": name, "train": {**whole["train"], "steps": 100_000}}


def test_control_c_leaves_the_job_running_sent_again_it_is_the_same_job_and_stop_ends_it(
    cluster: LocalCluster, run_tree: dict[str, Any], tmp_path: Path
) -> None:
    path = write_sweep(tmp_path, endless(run_tree, "long", tmp_path))
    with started("submit", str(path), environment=cluster.environment) as process:
        assert process.stdout is not None
        said = ""
        while "Running entrypoint" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "goes on; follow it by: distal jobs logs" in rest
    (job_id,) = re.findall(r"^job (\S+): started", said, re.M)
    again = cluster.distal("submit", str(path), "--detach")
    assert f"job {job_id}: is alive already" in again.stdout
    assert re.search(rf"{job_id} +RUNNING ", cluster.distal("jobs", "list").stdout)
    assert cluster.distal("jobs", "stop", "long").returncode == 0
    followed = cluster.distal("jobs", "logs", "long", "--follow")
    assert followed.returncode == 1
    assert "STOPPED" in followed.stdout
    assert "Submit it again" in followed.stdout


def test_a_sweep_sent_as_a_job_finds_what_its_configurations_find_in_this_process(
    cluster: LocalCluster, run_tree: dict[str, Any], decoded: Path, tmp_path: Path
) -> None:
    """One trial is enough: tests/system/test_sweeps.py has more of them, and what becomes of each."""
    space = {"model.learning_rate_g": {"grid": [8e-4]}}
    base = {"rounds": 2, "train": {"threads": 1}, "evaluate": run_tree["evaluate"]}
    never = {"scheduler": "none"}
    tree = sweep_tree(tmp_path, decoded, space, searcher="grid", early_stop=never, base=base)
    done = cluster.distal("submit", str(write_sweep(tmp_path, tree)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 trial: 1 finished" in done.stdout
    (trial,) = results_of(tmp_path).trials
    there = RunDirectory.open(str(tmp_path / "sweep" / "trials"), trial.name)
    share_extractor(tmp_path / "here")
    own = {"storage": str(tmp_path / "here"), "pool.shards": 0}
    learner = distal.ActiveLearner(make_config(with_values(read_saved(there).config, own)))
    learner.run()
    assert len(learner.results_) == len(trial.curve) == 2
    assert [r.metrics["scores"] for r in read_results(there)] == [r.metrics["scores"] for r in learner.results_]


def test_a_missing_and_a_wrong_token_are_refused_with_what_to_do(cluster: LocalCluster, tmp_path: Path) -> None:
    wrong = cluster.distal("jobs", "list", RAY_AUTH_TOKEN="0" * 64)
    bare = cluster.distal("jobs", "list", RAY_AUTH_MODE="disabled")
    for refused, words in ((wrong, "refuses this token"), (bare, "asks for a token")):
        assert refused.returncode == 9
        assert words in refused.stderr
        assert "RAY_AUTH_TOKEN" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) <= 3


def test_the_line_that_the_script_prints_is_all_that_a_shell_needs(cluster: LocalCluster) -> None:
    (line,) = (line.strip() for line in cluster.said.splitlines() if "export" in line)
    bare = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
    script = f"{line} && exec {sys.executable} -m distal jobs list"
    done = subprocess.run(["bash", "-c", script], env=bare, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_metrics_of_the_run_are_exported_by_the_node_of_its_driver(
    cluster: LocalCluster, submitted: tuple[Path, Any]
) -> None:
    """Ray writes where each node exports; the values of an ended process stay for a while."""
    places = json.loads((cluster.folder / "n" / "head" / "prom_metrics_service_discovery.json").read_text())
    pages = []
    for target in places[0]["targets"]:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=20) as page:
            pages.append(page.read().decode())
    assert any("ray_distal_" in page for page in pages)


def test_the_head_lost_with_the_driver_a_node_cut_off_in_training_and_one_lost_while_scoring_change_nothing(
    cluster: LocalCluster, run_tree: dict[str, Any], tmp_path: Path
) -> None:
    """The driver lies on the head and dies with it; the run directory is all that a cluster started anew needs.

    The job's own process is on the head then too; its shards and its worker are not. Training lasts long enough for a
    node to be taken away in it. This is the last test, for it takes the cluster of the others.
    """
    tree = {**run_tree, "train": {**run_tree["train"], "steps": 200}}
    share_extractor(tmp_path)
    path = write_sweep(tmp_path, {**tree, "storage": str(tmp_path)})
    run = RunDirectory.open(str(tmp_path), "run")
    done = cluster.distal("submit", str(path), "train.workers=0", "pool.shards=1", "--detach")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until(lambda: len(Ledger(run, 10).answers(1)) == 6, "the first round is labeled", PHASE_S)
    cluster.kill("head")
    assert not run.has("rounds/0001/checkpoint/manifest.json")
    cluster.do("stop")
    with network() as made, local_cluster(0, **head_of(made), **SOON_COUNTED_AS_DEAD) as anew:
        for name in ("one", "two"):
            add(anew, made, name)
        done = anew.distal("submit", str(path), "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        lose_who_trains(anew, made, run)
        take_away_while_scoring(anew, made, run)
        followed = anew.distal("jobs", "logs", "run", "--follow")
        assert followed.returncode == 0, followed.stdout + followed.stderr
        assert "the label budget is spent: 12 of 12" in followed.stdout
    asked = Ledger(run, 10).asked().tolist()
    assert len(asked) == len(set(asked)) == 12
    share_extractor(tmp_path / "unbroken")
    distal.ActiveLearner(in_one_process(tree, tmp_path / "unbroken")).run()
    assert final_files(tmp_path) == final_files(tmp_path / "unbroken")

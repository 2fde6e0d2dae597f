"""Sweeps with real trials under Tune: what they find, what they leave, and what they do when trials go wrong."""

import os
import signal
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from shared_extractor import share_extractor
from small_sweeps import ROUNDS, committed, results_of, sweep_tree
from two_rounds import ray_processes, wait_until

import distal
from distal.checkpoints import read_saved
from distal.config import EVALUATION_CACHE, Config
from distal.errors import ClusterError, RunError
from distal.resolve import flatten, make_config, read_config, with_values
from distal.run.directory import RunDirectory
from distal.sweep.resolve import SWEEP, check_sweep, make_sweep, print_sweep
from distal.sweep.results import Results
from distal.sweep.trial import SweepTrial, TrialJob
from distal.sweep.tuner import run_sweep
from distal.sweep.watch import Progress

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.usefixtures("local_ray")]

STRATEGIES = {"query.strategy": {"grid": ["random", "margin"]}, "model.learning_rate_g": [1e-5, 1e-3]}


LEAVINGS = ("distal-train-*",)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoded-by-a-sweep")


@pytest.fixture(scope="module")
def left_before() -> set[Path]:
    return {path for pattern in LEAVINGS for path in Path(tempfile.gettempdir()).glob(pattern)}


@dataclass(frozen=True)
class Found:
    """Hold where a sweep lies, what was heard of it, and whose process was killed after which round."""

    storage: Path
    heard: list[Progress]
    killed: str
    killed_at: int

    def results(self) -> Results:
        return results_of(self.storage)


@pytest.fixture(scope="module")
def found(local_ray: None, tmp_path_factory: pytest.TempPathFactory, own_cache: Path, left_before: set[Path]) -> Found:
    """Run one sweep for the tests that look at what it left; the process of one of its trials is killed."""
    storage, decoded = tmp_path_factory.mktemp("sweeps"), own_cache
    heard: list[Progress] = []
    killed: list[Progress] = []

    def kill_once(progress: Progress) -> None:
        heard.append(progress)
        holder = RunDirectory.open(str(storage), "sweep").inside("trials", progress.trial).holder("driver")
        if progress.state == "running" and not killed and holder is not None:
            killed.append(progress)
            os.kill(holder.pid, signal.SIGKILL)

    tree = sweep_tree(storage, decoded, STRATEGIES, searcher="grid", shared=False, loggers=["tensorboard"])
    distal.tune(tree.pop("space"), tree.pop("base"), watch=kill_once, **tree)
    return Found(storage, heard, killed[0].trial, killed[0].round)


def test_every_trial_comes_to_its_end_and_is_written_down(found: Found) -> None:
    storage, heard, results = found.storage, found.heard, found.results()
    assert len(results.trials) == 4
    assert {trial.state for trial in results.trials} <= {"finished", "stopped"}
    assert results.best.finished
    for name in ("sweep.yaml", "results.parquet", "curves.parquet", "best.yaml", "report.html"):
        assert (storage / "sweep" / name).stat().st_size > 0
    ended = [progress for progress in heard if progress.state != "running"]
    assert [progress.ended for progress in ended] == [1, 2, 3, 4]
    assert len(results.dataframe()) == 4
    assert list((storage / "sweep" / "tune" / "runs").glob("*/events.out.tfevents.*"))


def test_every_searched_value_reached_its_run(found: Found) -> None:
    results = found.results()
    combinations = set()
    for trial in results.trials:
        values = flatten(read_saved(results.directory.inside("trials", trial.name)).config)
        combinations.add((values["query.strategy"], values["model.learning_rate_g"]))
    assert combinations == {(s, r) for s in ("random", "margin") for r in (1e-5, 1e-3)}


def test_pool_and_extractor_are_made_once_before_the_first_trial(found: Found, own_cache: Path) -> None:
    trials = found.storage / "sweep" / "trials"
    begun = min(path.stat().st_mtime for path in trials.glob("*/trial.json"))
    made = [path for place in (own_cache, trials / "evaluation-cache") for path in place.rglob("*") if path.is_file()]
    data = [path for path in made if path.suffix in (".npy", ".safetensors", ".u8") or path.stat().st_size > 10_000]
    maps = [path for path in data if path.parent.name == "maps"]
    assert len(maps) == 1  # drawn after a commit, by the trial that comes first
    assert len(data) > 1
    assert max(path.stat().st_mtime for path in data if path not in maps) <= begun


def test_nothing_is_left_behind(found: Found, left_before: set[Path]) -> None:
    assert {path for pattern in LEAVINGS for path in Path(tempfile.gettempdir()).glob(pattern)} <= left_before
    results = found.results()
    assert results.directory.holder() is None
    for trial in results.trials:
        run = results.directory.inside("trials", trial.name)
        assert (run.holder("driver"), run.holder("writer")) == (None, None)
    wait_until(lambda: not ray_processes("SweepTrial"), "the trials' processes are gone")
    assert [t.name for t in threading.enumerate() if t.name == "distal-rounds"] == []


def test_the_best_configuration_run_alone_writes_what_its_trial_wrote(found: Found, tmp_path: Path) -> None:
    storage, results = found.storage, found.results()
    (trial,) = results.best.trials
    best = read_config(storage / "sweep" / "best.yaml")
    require_same_alone(results.directory.inside("trials", trial.name), best, tmp_path)


def test_a_second_sweep_of_the_name_is_refused_and_a_resumed_one_computes_nothing(
    found: Found, own_cache: Path
) -> None:
    storage = found.storage
    sweep = make_sweep(sweep_tree(storage, own_cache, STRATEGIES, searcher="grid"))
    with pytest.raises(RunError, match="--resume"):
        run_sweep(sweep)
    before, states = committed(storage), [trial.state for trial in results_of(storage).trials]
    again = run_sweep(sweep, resume=True)
    assert committed(storage) == before
    assert [trial.state for trial in again.trials] == states


def test_another_space_is_not_taken_up_under_the_name(found: Found, own_cache: Path) -> None:
    storage = found.storage
    other = make_sweep(sweep_tree(storage, own_cache, {"query.strategy": ["badge", "random"]}, searcher="grid"))
    with pytest.raises(RunError, match=r"differs in space\.query\.strategy"):
        run_sweep(other, resume=True)


def test_a_trial_whose_process_was_killed_wrote_what_its_configuration_writes_alone(
    found: Found, tmp_path: Path
) -> None:
    trials = found.results().directory.inside("trials", found.killed)
    assert found.killed_at < len(trials.committed())
    require_same_alone(trials, read_saved(trials).config, tmp_path)


def require_same_alone(trial: RunDirectory, config: Config, folder: Path) -> None:
    """Require a run of a trial's configuration in this process to write what the trial wrote in its last round.

    The network that judges is the sweep's: what it is trained from, and so its hash, is the same.
    """
    (folder / EVALUATION_CACHE).symlink_to(Path(trial.uri).parent / EVALUATION_CACHE)
    last = trial.committed()[-1]
    own = {"storage": str(folder), "name": "alone", "train.threads": 1, "rounds": last}
    distal.ActiveLearner(make_config(with_values(config, own))).run()
    for name in ("query.parquet", "checkpoint/manifest.json", "samples.png"):
        path = f"rounds/{last:04d}/{name}"
        assert (folder / "alone" / path).read_bytes() == trial.read(path)


def test_a_member_of_a_population_trains_on_from_anothers_weights_under_its_own_values(
    tmp_path: Path, decoded: Path
) -> None:
    """As Tune calls the two; tests/sweep/test_fit.py has Tune itself, with trials that train nothing."""
    space = {"model.learning_rate_g": {"loguniform": [1e-6, 1e-3]}}
    sweep = make_sweep(sweep_tree(tmp_path, decoded, space, trials=2, early_stop={"scheduler": "pbt", "quantile": 0.5}))
    base, _, _ = check_sweep(sweep)
    directory = RunDirectory.open(sweep.storage, sweep.name)
    directory.write(SWEEP, print_sweep(sweep, base).encode())
    own = make_config(with_values(base, {"pool.shards": 0, "train.threads": 1}))
    job = TrialJob(directory, directory.read(SWEEP), own, "distance", "min", 0.0, 1)
    first, second = (member(job, number, rate) for number, rate in enumerate((1e-5, 1e-4)))
    assert [each.step()["round"] for each in (first, second, second)] == [1, 1, 2]
    second.save_checkpoint(str(tmp_path))
    first.reset_config(described(0, 3e-4))
    first.load_checkpoint(str(tmp_path))
    last = first.step()
    for each in (first, second):
        each.cleanup()
    assert (last["trial_run"], last["round"], last["done"]) == ("member-000.g1", ROUNDS, True)
    mine, source = (directory.inside("trials", name) for name in ("member-000.g1", "member-001"))
    assert mine.read("rounds/0002/checkpoint/manifest.json") == source.read("rounds/0002/checkpoint/manifest.json")
    assert mine.read("rounds/0001/labels.parquet") == source.read("rounds/0001/labels.parquet")
    assert read_saved(mine).config.model.learning_rate_g == 3e-4


def described(number: int, rate: float) -> dict[str, Any]:
    point = {"model.learning_rate_g": rate}
    return {"trial": {"point": point, "seed": 0, "number": number, "population": True}}


def member(job: TrialJob, number: int, rate: float) -> SweepTrial:
    """Begin a member without Tune around it."""
    trial = SweepTrial.__new__(SweepTrial)
    trial._trial_info = SimpleNamespace(trial_id=f"x_{number:05d}")  # where Tune's `trial_id` is read
    trial.setup(described(number, rate), job)
    return trial


def test_a_trial_with_shards_whose_worker_is_killed_asks_what_one_in_process_asks(
    tmp_path: Path, decoded: Path
) -> None:
    needs = {"cpus": 0.5, "shards": 2, "cpus_per_shard": 0.25, "workers": 1, "cpus_per_worker": 1.0}
    space = {"query.strategy": ["margin"]}
    tree = sweep_tree(tmp_path, decoded, space, searcher="grid", resources=needs, early_stop={"scheduler": "none"})
    killed: list[int] = []

    def kill_once(progress: Progress) -> None:
        if progress.round == 1 and not killed:
            killed.append(ray_processes("RayTrainWorker")[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    results = run_sweep(make_sweep(tree), watch=kill_once)
    (trial,) = results.trials
    assert (len(killed), trial.state, len(trial.curve)) == (1, "finished", ROUNDS)
    run = results.directory.inside("trials", trial.name)
    own = {"storage": str(tmp_path), "name": "alone", "pool.shards": 0, "train.workers": 0}
    share_extractor(tmp_path)
    distal.ActiveLearner(make_config(with_values(read_saved(run).config, own))).run()
    path = f"rounds/{ROUNDS:04d}/query.parquet"
    assert run.read(path) == (tmp_path / "alone" / path).read_bytes()
    wait_until(lambda: not ray_processes("(SweepTrial|HeldShard|RayTrainWorker|TrainController)"), "all are gone")


def test_a_trial_that_the_cluster_cannot_hold_is_refused_before_it_starts(tmp_path: Path, decoded: Path) -> None:
    tree = sweep_tree(tmp_path, decoded, STRATEGIES, resources={"cpus": 64}, shared=False)
    with pytest.raises(ClusterError, match=r"What would fit: resources\.cpus=2"):
        run_sweep(make_sweep(tree))
    assert not (tmp_path / "sweep" / "trials").exists()

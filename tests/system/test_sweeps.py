"""Sweeps with real trials under Tune: what they find, what they leave, and what they do when trials go wrong."""

import os
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_sweeps import ROUNDS, committed, results_of, sweep_tree
from two_rounds import ray_processes, wait_until

import distal
from distal.checkpoints import read_saved
from distal.errors import ClusterError, RunError
from distal.resolve import flatten, make_config, read_config, with_values
from distal.run.directory import RunDirectory
from distal.sweep.resolve import make_sweep
from distal.sweep.tuner import run_sweep
from distal.sweep.watch import Progress, Watcher

pytestmark = [pytest.mark.system, pytest.mark.timeout(600), pytest.mark.usefixtures("local_ray")]

STRATEGIES = {"query.strategy": {"grid": ["random", "margin"]}, "model.learning_rate_g": [1e-5, 1e-3]}


LEAVINGS = ("distal-train-*",)


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decoded-by-a-sweep")


@pytest.fixture(scope="module")
def left_before() -> set[Path]:
    return {path for pattern in LEAVINGS for path in Path(tempfile.gettempdir()).glob(pattern)}


@pytest.fixture(scope="module")
def found(
    local_ray: None, tmp_path_factory: pytest.TempPathFactory, own_cache: Path, left_before: set[Path]
) -> tuple[Path, list[Any]]:
    """Run one sweep for the tests that look at what it left."""
    storage, decoded = tmp_path_factory.mktemp("sweeps"), own_cache
    heard: list[Progress] = []
    tree = sweep_tree(storage, decoded, STRATEGIES, searcher="grid", shared=False, loggers=["tensorboard"])
    distal.tune(tree.pop("space"), tree.pop("base"), watch=heard.append, **tree)
    return storage, heard


def test_every_trial_comes_to_its_end_and_is_written_down(found: tuple[Path, list[Any]]) -> None:
    storage, heard = found
    results = results_of(storage)
    assert len(results.trials) == 4
    assert {trial.state for trial in results.trials} <= {"finished", "stopped"}
    assert results.best.finished
    for name in ("sweep.yaml", "results.parquet", "curves.parquet", "best.yaml", "report.html"):
        assert (storage / "sweep" / name).stat().st_size > 0
    ended = [progress for progress in heard if progress.state != "running"]
    assert [progress.ended for progress in ended] == [1, 2, 3, 4]
    assert len(results.dataframe()) == 4
    assert list((storage / "sweep" / "tune" / "runs").glob("*/events.out.tfevents.*"))


def test_every_searched_value_reached_its_run(found: tuple[Path, list[Any]]) -> None:
    results = results_of(found[0])
    combinations = set()
    for trial in results.trials:
        values = flatten(read_saved(results.directory.inside("trials", trial.name)).config)
        combinations.add((values["query.strategy"], values["model.learning_rate_g"]))
    assert combinations == {(s, r) for s in ("random", "margin") for r in (1e-5, 1e-3)}


def test_pool_and_extractor_are_made_once_before_the_first_trial(
    found: tuple[Path, list[Any]], own_cache: Path
) -> None:
    trials = found[0] / "sweep" / "trials"
    begun = min(path.stat().st_mtime for path in trials.glob("*/trial.json"))
    made = [path for place in (own_cache, trials / "evaluation-cache") for path in place.rglob("*") if path.is_file()]
    data = [path for path in made if path.suffix in (".npy", ".safetensors", ".u8") or path.stat().st_size > 10_000]
    maps = [path for path in data if path.parent.name == "maps"]
    assert len(maps) == 1  # drawn after a commit, by the trial that comes first
    assert len(data) > 1
    assert max(path.stat().st_mtime for path in data if path not in maps) <= begun


def test_nothing_is_left_behind(found: tuple[Path, list[Any]], left_before: set[Path]) -> None:
    assert {path for pattern in LEAVINGS for path in Path(tempfile.gettempdir()).glob(pattern)} <= left_before
    results = results_of(found[0])
    assert results.directory.holder() is None
    for trial in results.trials:
        run = results.directory.inside("trials", trial.name)
        assert (run.holder("driver"), run.holder("writer")) == (None, None)
    wait_until(lambda: not ray_processes("SweepTrial"), "the trials' processes are gone")
    assert [t.name for t in threading.enumerate() if t.name == "distal-rounds"] == []


def test_the_best_configuration_run_alone_writes_what_its_trial_wrote(
    found: tuple[Path, list[Any]], tmp_path: Path
) -> None:
    storage, _ = found
    results = results_of(storage)
    (trial,) = results.best.trials
    best = read_config(storage / "sweep" / "best.yaml")
    config = make_config(with_values(best, {"storage": str(tmp_path), "name": "alone", "train.threads": 1}))
    distal.ActiveLearner(config).run()
    for name in ("query.parquet", "checkpoint/manifest.json", "samples.png"):
        path = f"rounds/{ROUNDS:04d}/{name}"
        assert (tmp_path / "alone" / path).read_bytes() == (storage / "sweep/trials" / trial.name / path).read_bytes()


def test_a_second_sweep_of_the_name_is_refused_and_a_resumed_one_computes_nothing(
    found: tuple[Path, list[Any]], own_cache: Path
) -> None:
    storage, _ = found
    sweep = make_sweep(sweep_tree(storage, own_cache, STRATEGIES, searcher="grid"))
    with pytest.raises(RunError, match="--resume"):
        run_sweep(sweep)
    before, states = committed(storage), [trial.state for trial in results_of(storage).trials]
    again = run_sweep(sweep, resume=True)
    assert committed(storage) == before
    assert [trial.state for trial in again.trials] == states


def test_another_space_is_not_taken_up_under_the_name(found: tuple[Path, list[Any]], own_cache: Path) -> None:
    storage, _ = found
    other = make_sweep(sweep_tree(storage, own_cache, {"query.strategy": ["badge", "random"]}, searcher="grid"))
    with pytest.raises(RunError, match=r"differs in space\.query\.strategy"):
        run_sweep(other, resume=True)


def test_a_population_takes_over_and_changes_values_within_a_run(tmp_path: Path, decoded: Path) -> None:
    space = {"model.learning_rate_g": {"loguniform": [1e-6, 1e-3]}, "model.regularizers.r1": {"uniform": [0.0, 1.0]}}
    stop = {"scheduler": "pbt", "interval": 1, "quantile": 0.5}
    tree = sweep_tree(tmp_path, decoded, space, trials=2, early_stop=stop)
    results = run_sweep(make_sweep(tree))
    assert [trial.state for trial in results.trials] == ["finished", "finished"]
    assert [trial.name.partition(".")[0] for trial in results.trials] == ["member-000", "member-001"]
    heirs = [trial for trial in results.trials if ".g" in trial.name]
    assert heirs, "nobody took over"
    for heir in heirs:
        note = yaml.safe_load(results.directory.read(f"trials/{heir.name}/trial.json"))
        source = results.directory.inside("trials", note["origin"]["run"])
        rounds = note["origin"]["round"]
        mine = results.directory.inside("trials", heir.name)
        assert mine.read("rounds/0001/labels.parquet") == source.read("rounds/0001/labels.parquet")
        assert flatten(read_saved(mine).config)["model.learning_rate_g"] == heir.point["model.learning_rate_g"]
        assert len(heir.curve) == ROUNDS > rounds
    resume_after_a_lost_round(results.directory, tree, [trial.name for trial in results.trials])


def resume_after_a_lost_round(directory: RunDirectory, tree: dict[str, Any], names: list[str]) -> None:
    """Take the population up as if it had been killed in its last round: nobody falls back to an earlier one."""
    for name in names:
        for path in ("ended.json", "stopped.json", f"rounds/{ROUNDS:04d}"):
            directory.delete(f"trials/{name}/{path}")
    again = run_sweep(make_sweep(tree), resume=True)
    assert [(trial.state, len(trial.curve)) for trial in again.trials] == [("finished", ROUNDS)] * len(names)


def test_a_trial_that_fails_is_recorded_and_the_others_of_its_population_go_on(tmp_path: Path, decoded: Path) -> None:
    space = {"model.learning_rate_g": [1e-3, 1e30]}
    stop = {"scheduler": "pbt", "interval": 2, "quantile": 0.5}
    results = run_sweep(make_sweep(sweep_tree(tmp_path, decoded, space, trials=2, early_stop=stop)))
    states = {trial.point["model.learning_rate_g"]: trial for trial in results.trials}
    assert states[1e-3].state == "finished"
    assert states[1e30].state == "failed"
    assert "not finite" in states[1e30].reason
    assert results.best.point == {"model.learning_rate_g": 1e-3}


def test_a_learned_search_is_taken_up_with_what_it_knew(tmp_path: Path, decoded: Path) -> None:
    pytest.importorskip("optuna")
    space = {"model.learning_rate_g": {"loguniform": [1e-5, 1e-3]}}
    own = {"searcher": "optuna", "concurrency": 1, "early_stop": {"grace": 1}, "base": {"rounds": 2}}
    tree = sweep_tree(tmp_path, decoded, space, trials=1, **own)
    first = run_sweep(make_sweep(tree))
    before = committed(tmp_path)
    second = run_sweep(make_sweep(tree | {"trials": 2}), resume=True)
    assert len(first.trials) == 1
    assert [trial.name for trial in second.trials][:1] == [trial.name for trial in first.trials]
    assert len(second.trials) == 2
    assert before.items() <= committed(tmp_path).items()


def test_a_trial_whose_worker_is_killed_writes_what_one_in_process_does_whose_own_process_is_killed(
    tmp_path: Path, decoded: Path
) -> None:
    needs = {"cpus": 0.5, "shards": 2, "cpus_per_shard": 0.25, "workers": 1, "cpus_per_worker": 1.0}
    space = {"query.strategy": ["margin"]}
    tree = sweep_tree(tmp_path, decoded, space, searcher="grid", resources=needs, early_stop={"scheduler": "none"})
    alone = sweep_tree(tmp_path, decoded, space, searcher="grid", name="alone", early_stop={"scheduler": "none"})
    killed: dict[str, int] = {}

    def kill_once(title: str, when: int) -> Watcher:
        def kill(progress: Progress) -> None:
            if progress.round == when and title not in killed:
                killed[title] = ray_processes(title)[0].pid
                os.kill(killed[title], signal.SIGKILL)

        return kill

    results = run_sweep(make_sweep(tree), watch=kill_once("RayTrainWorker", 1))
    single = run_sweep(make_sweep(alone), watch=kill_once("SweepTrial", 2))
    assert len(killed) == 2
    (trial,), (other,) = results.trials, single.trials
    assert trial.state == other.state == "finished"
    assert len(trial.curve) == len(other.curve) == ROUNDS
    path = f"rounds/{ROUNDS:04d}/query.parquet"
    assert results.directory.read(f"trials/{trial.name}/{path}") == single.directory.read(f"trials/{other.name}/{path}")
    wait_until(lambda: not ray_processes("(SweepTrial|HeldShard|RayTrainWorker|TrainController)"), "all are gone")


def test_a_trial_that_the_cluster_cannot_hold_is_refused_before_it_starts(tmp_path: Path, decoded: Path) -> None:
    tree = sweep_tree(tmp_path, decoded, STRATEGIES, resources={"cpus": 64}, shared=False)
    with pytest.raises(ClusterError, match=r"What would fit: resources\.cpus=2"):
        run_sweep(make_sweep(tree))
    assert not (tmp_path / "sweep" / "trials").exists()

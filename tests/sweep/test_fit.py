"""Tune's own controller with trials that train nothing: who is paused, takes over, is gone on with, and given up."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import resolved_facts
import sweep_folders
import written_runs
import yaml
from ray import cloudpickle
from sweep_folders import SweepFolder

from distal.checkpoints import read_saved
from distal.errors import StorageError
from distal.resolve import flatten
from distal.run.directory import RunDirectory
from distal.sweep import fit, tuner
from distal.sweep.resolve import check_sweep, make_sweep
from distal.sweep.results import Results
from distal.sweep.trials import ENDED, read_results
from distal.sweep.tuner import run_sweep
from distal.sweep.watch import Progress

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("local_ray", "written")]

RATE = "model.learning_rate_g"
SPACE = {RATE: {"loguniform": [1e-6, 1e-3]}}
ROUNDS = 4
MODULES = (resolved_facts, sweep_folders, written_runs)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let trials write made-up rounds; the processes of Ray do not find the modules of the tests by themselves."""
    monkeypatch.setattr(fit, "SweepTrial", written_runs.WrittenTrial)
    monkeypatch.setattr(tuner, "share", lambda config, directory: None)
    for module in MODULES:
        cloudpickle.register_pickle_by_value(module)
    yield
    for module in MODULES:
        cloudpickle.unregister_pickle_by_value(module)


def test_what_hyperband_selects_comes_to_its_end(tmp_path: Path) -> None:
    stop = {"scheduler": "hyperband", "grace": 1, "reduction": 2}
    folder = SweepFolder(tmp_path, space=SPACE, trials=6, early_stop=stop)
    heard: list[Progress] = []
    results = run_sweep(folder.sweep, watch=heard.append)
    last = {progress.trial: progress.round for progress in heard if progress.state != "running"}
    assert len(last) == 6
    assert min(last.values()) < 4, "nobody was given up"
    assert last[results.best.trials[0].name] == 4


def test_a_trial_that_hangs_has_failed_in_words_and_the_sweep_goes_on_without_it_until_it_is_resumed(
    tmp_path: Path,
) -> None:
    rates = {RATE: {"grid": [written_runs.HANGING, 1e-5]}}
    own: dict[str, Any] = {"searcher": "grid", "early_stop": {"scheduler": "none"}, "silent_s": 3.0}
    folder = SweepFolder(tmp_path, space=rates, concurrency=1, **own)
    results = run_sweep(folder.sweep)
    states = {trial.point[RATE]: (trial.state, len(trial.curve)) for trial in results.trials}
    assert states == {
        written_runs.HANGING: ("failed", written_runs.HANGS_AT - 1),
        1e-5: ("finished", ROUNDS),
    }
    (hung,) = [trial for trial in results.trials if trial.state == "failed"]
    assert "no sign of work for 3 s, in _all_rounds (distal/sweep/trial.py" in hung.reason
    assert "raise silent_s" in hung.reason

    (tmp_path / folder.sweep.name / "trials" / written_runs.MENDED).touch()
    again = run_sweep(folder.sweep, resume=True)
    assert [(trial.state, len(trial.curve)) for trial in again.trials] == [("finished", ROUNDS)] * 2


def population(storage: Path) -> dict[str, Any]:
    """Describe three members of which one will fail."""
    stop = {"scheduler": "pbt", "interval": 1, "quantile": 0.5}
    own = {"name": "sweep", "storage": str(storage), "loggers": [], "base": {"rounds": ROUNDS}}
    return {**own, "space": SPACE, "trials": 3, "early_stop": stop}


def test_a_population_takes_over_loses_a_member_and_is_taken_up_where_it_was(tmp_path: Path) -> None:
    tree = population(tmp_path)
    results = run_sweep(make_sweep(tree))
    assert [trial.name.partition(".")[0] for trial in results.trials] == [f"member-00{n}" for n in range(3)]
    assert [trial.state for trial in results.trials] == ["finished", "finished", "failed"]
    assert "not finite" in results.trials[2].reason
    heirs = [trial for trial in results.trials[:2] if ".g" in trial.name]
    assert heirs, "nobody took over"
    for heir in heirs:
        require_taken_over(results, heir.name, heir.point)
    require_nobody_falls_back(results, tree)


def require_taken_over(results: Results, name: str, point: dict[str, Any]) -> None:
    """Require a run to have the rounds of another up to where it was taken over, and to go on with its own values."""
    mine = results.directory.inside("trials", name)
    origin = yaml.safe_load(mine.read("trial.json"))["origin"]
    source = results.directory.inside("trials", origin["run"])
    taken = [result.distance for result in read_results(mine)]
    theirs = [result.distance for result in read_results(source)]
    assert len(taken) == ROUNDS > origin["round"] >= 1
    assert taken[: origin["round"]] == theirs[: origin["round"]]
    assert taken[origin["round"] :] != theirs[origin["round"] :]
    assert flatten(read_saved(mine).config)[RATE] == point[RATE]


def require_nobody_falls_back(results: Results, tree: dict[str, Any]) -> None:
    """Take the population up as if it had been killed in its last round: nobody begins at an earlier one."""
    names = [trial.name for trial in results.trials if trial.state == "finished"]
    for name in names:
        for path in (ENDED, f"rounds/{ROUNDS:04d}"):
            results.directory.delete(f"trials/{name}/{path}")
    before = times(results.directory)
    again = run_sweep(make_sweep(tree), resume=True)
    assert [(trial.state, len(trial.curve)) for trial in again.trials[:2]] == [("finished", ROUNDS)] * 2
    assert before.items() <= times(again.directory).items()


def times(directory: RunDirectory) -> dict[tuple[str, int], float]:
    """Return when each round of each run was committed."""
    runs = [directory.inside("trials", name) for name in directory.list("trials")]
    return {(run.name, n): run.modified(f"rounds/{n:04d}/COMMITTED") for run in runs for n in run.committed()}


def test_a_learned_search_whose_time_is_over_is_taken_up_with_what_it_knew(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    known = {RATE: 2e-4}
    own: dict[str, Any] = {"space": SPACE, "searcher": "optuna", "concurrency": 1, "early_stop": {"scheduler": "none"}}
    folder = SweepFolder(tmp_path, trials=2, hours=1e-6, **own)
    name = folder.add(known, [9.0, 8.0, 7.0, 6.0]).name
    before = times(folder.directory)

    cut_short = run_sweep(folder.sweep, resume=True)
    assert [trial.name for trial in cut_short.trials if trial.state == "finished"] == [name]
    whole = run_sweep(folder.sweep.model_copy(update={"hours": None}), resume=True)

    assert [trial.state for trial in whole.trials] == ["finished", "finished"]
    assert name in [trial.name for trial in whole.trials]
    assert before.items() <= times(folder.directory).items()


def test_a_full_disk_ends_the_sweep_in_words_and_it_goes_on_when_there_is_room(small_disk: Path) -> None:
    folder = SweepFolder(small_disk, space=SPACE, trials=3, early_stop={"scheduler": "none"})
    with pytest.raises(StorageError, match="--resume"):
        run_sweep(folder.sweep)
    before = times(folder.directory)
    assert before
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    results = run_sweep(folder.sweep, resume=True)
    assert [(trial.state, len(trial.curve)) for trial in results.trials] == [("finished", 4)] * 3
    assert before.items() <= times(folder.directory).items()


def test_a_sweep_that_has_ended_is_taken_up_without_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SweepFolder(tmp_path, space=SPACE, trials=2, early_stop={"scheduler": "none"})
    points = check_sweep(folder.sweep)[2]
    folder.add(points[0], [3.0, 2.0, 1.5, 1.0])
    second = folder.add(points[1], [3.0], "stopped")
    monkeypatch.setattr(tuner, "cluster", None)
    assert [trial.state for trial in run_sweep(folder.sweep, resume=True).trials] == ["finished", "stopped"]
    second.delete(ENDED)
    with pytest.raises(TypeError, match="NoneType"):
        run_sweep(folder.sweep, resume=True)

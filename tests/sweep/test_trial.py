"""A trial hears what is on disk before it runs anything, and says what refuses it instead of dying of it."""

from pathlib import Path
from typing import Any

import pytest
from sweep_folders import SweepFolder

from distal.errors import TrainingError
from distal.sweep.objective import worst
from distal.sweep.results import Results
from distal.sweep.trial import SweepTrial, TrialJob
from distal.sweep.trials import ENDED, read_note

POINT = {"query.strategy": "badge", "model.learning_rate_g": 5e-4}


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path, early_stop={"smoothing": 0.0})


def begin(folder: SweepFolder, point: dict[str, Any], mark: bytes | None = None) -> SweepTrial:
    """Begin a trial without Tune around it."""
    trial = SweepTrial.__new__(SweepTrial)
    shared = mark or folder.directory.read("sweep.yaml")
    job = TrialJob(folder.directory, shared, folder.base, "distance", "min", 0.0, 10)
    trial.setup({"trial": {"point": point, "seed": 0, "number": 0, "population": False}}, job)
    return trial


def test_a_finished_trial_answers_from_its_files(folder: SweepFolder) -> None:
    folder.add(POINT, [9.0, 5.0, 3.0, 2.0])
    trial = begin(folder, POINT)
    results = [trial.step() for _ in range(4)]
    assert [result["objective"] for result in results] == pytest.approx([9.0, 5.0, 3.0, 2.0])
    assert [result["asked"] for result in results] == [10, 20, 30, 40]
    assert [result["graces"] for result in results] == [1, 2, 3, 4]
    assert [result["done"] for result in results] == [False, False, False, True]


def test_rounds_without_a_value_of_the_metric_are_reported_as_the_worst(folder: SweepFolder) -> None:
    folder.add(POINT, [None] * 4)
    trial = begin(folder, POINT)
    results = [trial.step() for _ in range(4)]
    assert [(result["objective"], result["value"]) for result in results] == [(worst("min"), None)] * 4
    assert results[-1]["done"]


def test_one_that_was_given_up_is_not_run_any_further_and_stays_given_up(folder: SweepFolder) -> None:
    run = folder.add(POINT, [9.0, 5.0], "stopped")
    trial = begin(folder, POINT)
    assert [trial.step()["done"] for _ in range(3)] == [False, False, True]
    assert (read_note(run, ENDED) or {})["state"] == "stopped"
    assert run.committed() == [1, 2]


def test_a_point_that_the_configuration_refuses_is_recorded_as_failed(folder: SweepFolder) -> None:
    result = begin(folder, {"query.strategy": "badge", "model.learning_rate_g": -1.0}).step()
    assert result["done"]
    assert "model.learning_rate_g" in result["failed"]
    (trial,) = Results.read(folder.directory).trials
    assert trial.state == "failed"


def test_another_folder_ends_the_sweep_in_words(folder: SweepFolder) -> None:
    result = begin(folder, POINT, mark=b"another sweep").step()
    assert result["done"]
    assert "not the folder in which the sweep was begun" in result["fatal"]


def test_one_begins_with_the_files_and_the_references_of_its_sweep(folder: SweepFolder) -> None:
    for name in ("tables.json", "references.parquet"):
        folder.directory.write(name, name.encode())
    run = begin(folder, POINT)._run
    assert (run.read("tables.json"), run.read("references.parquet")) == (b"tables.json", b"references.parquet")


def test_one_that_failed_is_begun_anew_by_its_first_step(folder: SweepFolder) -> None:
    run = folder.add(POINT, [9.0], "failed")
    trial = begin(folder, POINT)
    assert trial.step()["objective"] == pytest.approx(9.0)
    assert read_note(run, ENDED) is None


def test_a_process_that_is_started_for_a_trial_and_steps_another_forgets_no_failure(folder: SweepFolder) -> None:
    run = folder.add(POINT, [9.0], "failed")  # by an idle process that Tune gave the trial meanwhile
    begin(folder, POINT).reset_config({"trial": {"point": POINT, "seed": 1, "number": 1, "population": False}})
    assert (read_note(run, ENDED) or {})["state"] == "failed"


def test_a_value_that_did_not_reach_its_run_is_refused(folder: SweepFolder) -> None:
    folder.add(POINT, [9.0], None, had={**POINT, "model.learning_rate_g": 7e-4})
    trial = begin(folder, POINT)
    with pytest.raises(TrainingError, match=r"did not reach its run, which has 0\.0007"):
        trial._require_reached()


def test_a_searched_batch_of_each_worker_is_found_in_its_run_and_in_the_results(tmp_path: Path) -> None:
    point = {"train.batch_per_worker": 8}
    folder = SweepFolder(tmp_path, space={"train.batch_per_worker": [8, 16]}, early_stop={"grace": 2})
    folder.add(point, [9.0])
    begin(folder, point)._require_reached()
    assert Results.read(folder.directory).trials[0].point == point


def test_a_damaged_note_ends_the_sweep_in_words(folder: SweepFolder) -> None:
    run = folder.add(POINT, [9.0])
    run.write(ENDED, b"[")
    result = begin(folder, POINT).step()
    assert "ended.json is damaged" in result["fatal"]

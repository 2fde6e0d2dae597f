"""A member of a population takes over another's run as a run of its own, once."""

from pathlib import Path

import pytest
import yaml
from resolved_facts import RESOLVED
from sweep_folders import SweepFolder

from distal.checkpoints import read_saved
from distal.errors import RunError
from distal.resolve import make_config, print_config, with_values
from distal.run.directory import RunDirectory
from distal.sweep.lineage import adopt, current_runs, generations
from distal.sweep.trials import TRIAL, read_results

SPACE = {"model.learning_rate_g": {"loguniform": [1e-4, 1e-3]}}
OLD, NEW = {"model.learning_rate_g": 2e-4}, {"model.learning_rate_g": 4e-4}


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    folder = SweepFolder(tmp_path, space=SPACE)
    folder.add(OLD, [9.0, 8.0], None, name="member-000")
    folder.add({"model.learning_rate_g": 5e-4}, [5.0, 4.0, 3.0], None, name="member-001")
    return folder


def take_over(folder: SweepFolder, rounds: int = 2) -> RunDirectory:
    return adopt(folder.directory, folder.directory.inside("trials", "member-001"), rounds, "member-000", NEW)


def test_the_next_generation_has_the_others_rounds_under_its_own_values(folder: SweepFolder) -> None:
    folder.directory.inside("trials", "member-001").write("references.parquet", b"examples")
    target = take_over(folder)
    assert target.name == "member-000.g1"
    assert target.read("references.parquet") == b"examples"
    assert [result.distance for result in read_results(target)] == [5.0, 4.0]
    config = read_saved(target).config
    assert (config.name, config.model.learning_rate_g) == ("member-000.g1", 4e-4)
    assert target.read("rounds/0002/checkpoint/manifest.json") == b"weights of round 2"
    assert target.list("rounds/0001/checkpoint") == []


def test_a_changed_batch_of_each_worker_is_the_next_generations_global_batch(folder: SweepFolder) -> None:
    source = folder.directory.inside("trials", "member-001")
    config = make_config(with_values(folder.base, {"train.batch_per_worker": 16, "train.workers": 2}))
    source.write("config.yaml", print_config(config, RESOLVED | {"batch_size": 32}).encode())
    assert read_saved(source).config.train.global_batch == 32
    target = adopt(folder.directory, source, 2, "member-000", {"train.batch_per_worker": 24})
    assert read_saved(target).config.train.global_batch == 48


def test_the_generation_before_stays_and_counts_no_more(folder: SweepFolder) -> None:
    take_over(folder)
    old = folder.directory.inside("trials", "member-000")
    assert [result.distance for result in read_results(old)] == [9.0, 8.0]
    assert [run.name for run in generations(folder.directory, "member-000")] == ["member-000", "member-000.g1"]
    assert [run.name for run in current_runs(folder.directory)] == ["member-000.g1", "member-001"]


def test_the_folder_is_listed_once_however_many_trials_there_are(
    folder: SweepFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, names = [], RunDirectory.list
    monkeypatch.setattr(RunDirectory, "list", lambda run, path: listed.append(path) or names(run, path))
    assert len(current_runs(folder.directory)) == 2
    assert listed == ["trials"]
    assert [run.name for run in generations(folder.directory, "member-001")] == ["member-001"]
    assert generations(folder.directory, "member-002") == []
    assert listed == ["trials"]


def test_a_take_over_that_was_begun_before_is_not_made_again(folder: SweepFolder) -> None:
    assert take_over(folder).name == take_over(folder).name == "member-000.g1"


def test_a_copy_that_was_cut_short_is_made_anew(folder: SweepFolder) -> None:
    target = take_over(folder)
    target.delete(TRIAL)  # written last
    target.delete("rounds/0002")
    again = take_over(folder)
    assert again.name == "member-000.g1"
    assert len(read_results(again)) == 2


def test_what_is_not_committed_cannot_be_taken_over(folder: SweepFolder) -> None:
    with pytest.raises(RunError, match="round 4 is not there"):
        take_over(folder, rounds=4)


def test_only_the_values_differ_from_the_run_that_was_taken_over(folder: SweepFolder) -> None:
    target = take_over(folder)
    source = folder.directory.inside("trials", "member-001")
    mine, theirs = (yaml.safe_load(run.read("config.yaml")) for run in (target, source))
    mine["model"]["learning_rate_g"] = theirs["model"]["learning_rate_g"]
    mine["name"] = theirs["name"]
    assert mine["resolved"].pop("digest") != theirs["resolved"].pop("digest")
    assert mine == theirs

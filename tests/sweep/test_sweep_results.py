"""What a sweep came to is read from its trials' own files: states, ranking, best configuration, tables."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sweep_folders import SweepFolder

from distal.errors import RunError
from distal.resolve import read_config
from distal.sweep.results import Results
from distal.sweep.trials import TRIALS

GOOD = {"query.strategy": "badge", "model.learning_rate_g": 5e-4}
FAIR = {"query.strategy": "margin", "model.learning_rate_g": 2e-4}
POOR = {"query.strategy": "margin", "model.learning_rate_g": 9e-4}


@pytest.fixture
def folder(tmp_path: Path) -> SweepFolder:
    return SweepFolder(tmp_path, seeds=[0, 1], early_stop={"smoothing": 0.0})


def test_points_are_ranked_by_their_mean_over_seeds_finished_ones_first(folder: SweepFolder) -> None:
    folder.add(FAIR, [9.0, 6.0, 5.0, 3.0], seed=0)
    folder.add(GOOD, [8.0, 4.0, 3.0, 2.0], seed=0)
    folder.add(FAIR, [9.0, 6.0, 5.0, 2.0], seed=1)
    folder.add(GOOD, [8.0, 4.0, 3.0, 1.0], seed=1)
    folder.add(POOR, [1.1], "stopped", seed=0)
    results = Results.read(folder.directory)
    assert [candidate.point for candidate in results.ranking] == [GOOD, FAIR, POOR]
    assert [candidate.objective for candidate in results.ranking] == pytest.approx([1.5, 2.5, 1.1])
    assert results.best.finished
    assert not results.ranking[-1].finished


def test_a_point_that_was_not_tried_under_every_seed_is_not_finished(folder: SweepFolder) -> None:
    folder.add(GOOD, [4.0, 3.0, 2.0, 1.0], seed=0)
    folder.add(FAIR, [4.0, 3.0, 2.0, 3.0], seed=0)
    folder.add(FAIR, [4.0, 3.0, 2.0, 3.0], seed=1)
    assert Results.read(folder.directory).best.point == FAIR


def test_of_points_that_were_given_up_the_one_that_came_farther_is_ahead(folder: SweepFolder) -> None:
    folder.add(POOR, [2.0], "stopped")
    folder.add(FAIR, [9.0, 5.0], "stopped")
    assert [candidate.point for candidate in Results.read(folder.directory).ranking] == [FAIR, POOR]


def test_a_point_of_which_a_trial_failed_or_has_no_value_is_not_ranked(folder: SweepFolder) -> None:
    folder.add(GOOD, [1.0], "failed")
    folder.add(FAIR, [3.0, None], "stopped")
    folder.add(POOR, [7.0])
    results = Results.read(folder.directory)
    assert [candidate.point for candidate in results.ranking] == [POOR]
    assert [trial.state for trial in results.trials] == ["failed", "stopped", "finished"]


def test_without_any_value_there_is_no_best_and_the_message_says_where_to_look(folder: SweepFolder) -> None:
    folder.add(GOOD, [], "failed")
    results = Results.read(folder.directory)
    with pytest.raises(RunError, match=r"no trial has a value of 'distance' \(failed\)"):
        _ = results.best_config
    results.write()
    assert not folder.directory.has("best.yaml")


def test_a_sweep_whose_trials_all_failed_is_refused_with_the_reason_of_the_first(folder: SweepFolder) -> None:
    folder.add(FAIR, [], "failed")
    folder.add(GOOD, [3.0], "failed")
    folder.add(POOR, [], None)
    with pytest.raises(RunError, match=r"2 of 3 trials failed, and no other came to a round\.\nThe first: it failed\n"):
        Results.read(folder.directory).require_some()
    folder.add(GOOD, [3.0], "stopped", seed=1)
    Results.read(folder.directory).require_some()


def test_the_best_configuration_is_one_that_run_takes(folder: SweepFolder) -> None:
    folder.add(GOOD, [2.0])
    folder.add(FAIR, [3.0])
    results = Results.read(folder.directory)
    results.write()
    config = read_config(Path(folder.directory.uri) / "best.yaml")
    assert config == results.best_config
    assert (config.query.strategy, config.model.learning_rate_g, config.name) == ("badge", 5e-4, "sweep-best")


def test_a_value_that_did_not_reach_its_run_is_not_what_the_table_says(folder: SweepFolder) -> None:
    folder.add(GOOD, [2.0], had={**GOOD, "model.learning_rate_g": 7e-4})
    frame = Results.read(folder.directory).dataframe()
    assert frame["model.learning_rate_g"].tolist() == [7e-4]


def test_a_trial_that_another_generation_replaced_is_left_out(folder: SweepFolder) -> None:
    folder.add(GOOD, [2.0], None, name="member-000")
    folder.add(FAIR, [2.0, 1.0], name="member-000.g1")
    assert [trial.name for trial in Results.read(folder.directory).trials] == ["member-000.g1"]


def test_a_trial_that_was_being_run_is_unfinished(folder: SweepFolder) -> None:
    folder.add(GOOD, [2.0], state=None)
    (trial,) = Results.read(folder.directory).trials
    assert trial.state == "unfinished"
    assert trial.last is not None
    assert (trial.last.asked, trial.seconds) == (10, 2.0)


def test_what_early_stopping_saved_is_counted_in_compute(folder: SweepFolder) -> None:
    folder.add(GOOD, [4.0, 3.0, 2.0, 1.0])
    folder.add(POOR, [9.0], "stopped")
    assert Results.read(folder.directory).saved == pytest.approx(3 / 8)


def test_a_run_that_reached_its_goal_early_counts_as_no_saving(folder: SweepFolder) -> None:
    folder.add(GOOD, [4.0, 1.0])
    assert Results.read(folder.directory).saved == 0.0


def test_the_tables_hold_every_trial_and_every_round(folder: SweepFolder) -> None:
    folder.add(GOOD, [4.0, 3.0], "stopped")
    folder.add({"query.strategy": "margin"}, [5.0])
    results = Results.read(folder.directory)
    results.write()
    place = Path(folder.directory.uri)
    rows = pq.read_table(place / "results.parquet").to_pylist()
    assert [row["state"] for row in rows] == ["stopped", "finished"]
    assert [row["query.strategy"] for row in rows] == ["badge", "margin"]
    assert [row["model.learning_rate_g"] for row in rows] == [5e-4, None]
    curves = pq.read_table(place / "curves.parquet").to_pylist()
    assert [(row["trial"], row["asked"], row["distance"]) for row in curves][:2] == [
        (rows[0]["trial"], 10, 4.0),
        (rows[0]["trial"], 20, 3.0),
    ]


def test_an_empty_sweep_has_empty_tables(folder: SweepFolder) -> None:
    results = Results.read(folder.directory)
    results.write()
    assert results.dataframe().empty
    assert folder.directory.list(TRIALS) == []


def test_another_metric_ranks_by_it(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path, metric="agreement")
    folder.add(GOOD, [2.0])
    results = Results.read(folder.directory)
    assert results.mode == "max"
    assert results.best.objective == 0.5

"""How a sweep ends, whatever Tune did with its trials: in words on the terminal, and in an error where all failed."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from sweep_folders import SweepFolder

from distal.cli import main
from distal.errors import RunError
from distal.sweep import tuner

BADGE, MARGIN = ({"query.strategy": name, "model.learning_rate_g": 5e-4} for name in ("badge", "margin"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """Return a folder whose sweep ends without a trial being run."""
    monkeypatch.setattr(tuner, "cluster", lambda address: nullcontext())
    monkeypatch.setattr(tuner, "living_nodes", lambda: [{"CPU": 2.0}])
    monkeypatch.setattr(tuner, "share", lambda config, directory: None)
    monkeypatch.setattr(tuner, "fit", lambda *arguments: None)
    return SweepFolder(tmp_path)


def test_a_sweep_whose_trials_all_failed_ends_in_an_error_that_says_why(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.add(BADGE, [], "failed")
    folder.add(MARGIN, [], "failed")
    assert main(["tune", folder.directory.uri, "--resume"]) == 6
    assert "2 of 2 trials failed, and no other came to a round.\nThe first: it failed" in capsys.readouterr().err
    assert folder.directory.has("report.html")


def test_the_terminal_says_with_the_best_point_what_the_report_says_against_it(
    folder: SweepFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.add(BADGE, [3.0, 2.0])
    folder.add(MARGIN, [4.0, 3.0])
    folder.add(MARGIN | {"model.learning_rate_g": 1e-4}, [], "failed")
    assert main(["tune", folder.directory.uri, "--resume"]) == 0
    told = capsys.readouterr().out
    assert "Best is strategy badge" in told
    assert "One seed cannot tell a better point from a lucky one." in told
    assert "1 trial failed: a point with a failed trial is not ranked." in told
    assert f"best: {folder.directory.uri}/best.yaml" in told


def test_a_metric_without_a_value_from_the_start_ends_in_words_not_in_a_winner(folder: SweepFolder) -> None:
    folder.add(BADGE, [None, None])
    folder.add(MARGIN, [None, None])
    results = tuner.run_sweep(folder.sweep, resume=True)
    assert [trial.state for trial in results.trials] == ["finished", "finished"]
    assert results.dataframe()["value"].isna().all()
    with pytest.raises(RunError, match="no trial has a value"):
        _ = results.best
    assert folder.directory.has("report.html")

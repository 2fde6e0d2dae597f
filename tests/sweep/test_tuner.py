"""How a sweep ends, whatever Tune did with its trials: in words on the terminal, and in an error where all failed."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sweep_folders import SweepFolder

from distal.cli import main
from distal.config import Config
from distal.data.table import ImageTable, open_images
from distal.errors import RunError
from distal.metrics import Evaluator
from distal.pool.shard import Ready
from distal.run.directory import RunDirectory
from distal.sweep import tuner

BADGE, MARGIN = ({"query.strategy": name, "model.learning_rate_g": 5e-4} for name in ("badge", "margin"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepFolder:
    """Return a folder whose sweep ends without a trial being run."""
    monkeypatch.setattr(tuner, "cluster", lambda address: nullcontext())
    monkeypatch.setattr(tuner, "watched", nullcontext)
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


def test_where_trials_have_shards_the_pool_is_prepared_by_shards_and_the_driver_decodes_nothing(
    small_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = open_images(small_config().pool)
    done: list[Any] = []

    class Shards:
        def __init__(self, images: ImageTable, shards: int, *needs: Any, **named: Any) -> None:
            self.rows = elsewhere
            done.append(shards)

        def prepare(self) -> list[Ready]:
            return [Ready(elsewhere.rows, elsewhere.rows, [], False)]

        def look(self, method: str, seconds: float) -> list[int]:
            done.append(method)
            return [elsewhere.rows]

        def close(self) -> None:
            done.append("closed")

    def prepare(self: Evaluator, comm: Any) -> None:
        done.append(self.split.pixels(np.arange(3), torch.device("cpu")).numpy())
        assert np.array_equal(done[-1], elsewhere.pixels(self.split.row_ids[:3]))

    monkeypatch.setattr(tuner, "ShardActors", Shards)
    monkeypatch.setattr(Evaluator, "prepare", prepare)
    config = small_config(pool={"shards": 2, "cache": str(tmp_path / "driver")})
    tuner.share(config, RunDirectory.open(str(tmp_path), "sweep"))
    assert (done[0], *done[-2:]) == (2, "embed", "closed")
    assert not list((tmp_path / "driver").rglob("chunk-*"))


def test_a_metric_without_a_value_from_the_start_ends_in_words_not_in_a_winner(folder: SweepFolder) -> None:
    folder.add(BADGE, [None, None])
    folder.add(MARGIN, [None, None])
    results = tuner.run_sweep(folder.sweep, resume=True)
    assert [trial.state for trial in results.trials] == ["finished", "finished"]
    assert results.dataframe()["value"].isna().all()
    with pytest.raises(RunError, match="no trial has a value"):
        _ = results.best
    assert folder.directory.has("report.html")

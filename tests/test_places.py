"""Every path of a configuration is made absolute in one place, where its reader stands."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from resolved_facts import RESOLVED

from distal import cli
from distal.cli.evaluate import evaluate_round
from distal.config import Config
from distal.driver.preparation import Preparation
from distal.errors import RunError
from distal.places import absolute, places, with_absolute_places
from distal.resolve import flatten, make_config, print_config
from distal.run.directory import RunDirectory
from distal.sweep import tuner
from distal.sweep.config import SweepConfig

NAMED = {
    "storage": "runs",
    "pool": {"path": ["a.parquet", "many/*.parquet", "s3://bucket/b.parquet"], "cache": "~/decoded"},
    "evaluate": {"path": "held-out.parquet", "extractor_path": "inception.pt"},
}


def test_every_key_that_names_a_file_is_absolute_or_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    found = list(places(with_absolute_places(make_config(NAMED))))
    assert found == [
        ("storage", f"{tmp_path}/runs"),
        ("pool.path", f"{tmp_path}/a.parquet"),
        ("pool.path", f"{tmp_path}/many/*.parquet"),
        ("pool.path", "s3://bucket/b.parquet"),
        ("pool.cache", "/home/me/decoded"),
        ("evaluate.path", f"{tmp_path}/held-out.parquet"),
        ("evaluate.extractor_path", f"{tmp_path}/inception.pt"),
    ]


def test_absolute_paths_stay_wherever_they_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = with_absolute_places(make_config(NAMED))
    monkeypatch.chdir(tmp_path)
    assert with_absolute_places(once) == once


def test_the_embedded_digits_are_no_place_but_a_folder_of_that_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = with_absolute_places(make_config({"storage": "digits", "evaluate": {"path": "digits"}}))
    assert (config.storage, config.pool.path, config.evaluate.path) == (f"{tmp_path}/digits", "digits", "digits")


def test_every_key_that_is_called_a_path_is_marked_as_a_place() -> None:
    config = make_config(NAMED)
    called = {key for key in flatten(config) if "path" in key or key in ("storage", "pool.cache")}
    assert called == {key for key, _ in places(config)}


def test_a_home_folder_of_nobody_and_an_empty_path_make_no_traceback() -> None:
    assert absolute("~nobody-at-all/x").endswith("/~nobody-at-all/x")
    assert absolute("") == ""


def test_a_run_that_is_opened_holds_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    opened = Preparation(make_config({"storage": "runs", "pool": {"cache": "decoded"}}))
    assert (opened.config.storage, opened.config.pool.cache) == (f"{tmp_path}/runs", f"{tmp_path}/decoded")


def test_a_sweep_gives_its_trials_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial stands in a folder of its own, where a path of the user's is none."""
    monkeypatch.chdir(tmp_path)
    begun: list[tuple[SweepConfig, Config]] = []

    def note(directory: RunDirectory, sweep: SweepConfig, base: Config, resume: bool) -> None:
        begun.append((sweep, base))
        raise RunError("enough seen")

    monkeypatch.setattr(tuner, "_compare", note)
    with pytest.raises(RunError, match="enough seen"):
        tuner.tune({"query.strategy": ["margin", "badge"]}, {"pool": {"path": "pool.parquet"}})
    [(sweep, base)] = begun
    assert (sweep.storage, base.pool.path) == (f"{tmp_path}/sweeps", f"{tmp_path}/pool.parquet")


@pytest.mark.parametrize(("stand", "given"), [("runs/r", "."), ("runs/r/rounds", ".."), ("runs", "r/"), ("", "runs/r")])
def test_a_run_is_named_from_wherever_one_stands(
    stand: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config({"name": "r", "storage": str(tmp_path / "runs")})
    RunDirectory.open(config.storage, "r").write("config.yaml", print_config(config, RESOLVED).encode())
    (tmp_path / "runs/r/rounds").mkdir()
    monkeypatch.chdir(tmp_path / stand)
    assert cli.main(["status", given]) == 0
    assert f"{tmp_path}/runs/r" in capsys.readouterr().out


def test_an_empty_name_of_a_run_is_not_taken_for_this_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", ""]) == 6
    assert "refused" in capsys.readouterr().err


def test_evaluate_refuses_another_pool_than_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config({"name": "r", "storage": str(tmp_path), "pool": {"cache": str(tmp_path / "decoded")}})
    saved = SimpleNamespace(config=config, resolved=RESOLVED)
    monkeypatch.setattr("distal.cli.evaluate.open_generator", lambda run, round: SimpleNamespace(saved=saved))
    with pytest.raises(RunError, match="the pool changed since this run began"):
        evaluate_round(RunDirectory.open(str(tmp_path), "r"), ["pool.path=digits"])

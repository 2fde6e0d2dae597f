"""The command line takes names and paths for what they are, and shows them as text that moves no cursor."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from resolved_facts import RESOLVED

from distal import cli
from distal.cli import runs
from distal.cli.ending import ending
from distal.config import Config
from distal.errors import RunError
from distal.resolve import make_config, print_config, read_config
from distal.run.directory import RunDirectory


@pytest.mark.parametrize(("folder", "name"), [("runs", "123"), ("runs", "2024-02-03"), ("läufe 🐈", "0x1f")])
def test_a_run_is_resumed_whatever_its_name_would_be_as_yaml(
    folder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = str(tmp_path / folder)
    config = make_config({"name": name, "storage": storage})
    RunDirectory.open(storage, name).write("config.yaml", print_config(config, RESOLVED).encode())
    started: list[Config] = []
    monkeypatch.setattr(runs, "run_config", started.append)
    assert cli.main(["resume", f"{storage}/{name}", "rounds=9"]) == 0
    assert [(c.storage, c.name, c.rounds) for c in started] == [(storage, name, 9)]


def test_the_text_of_an_override_is_that_very_text() -> None:
    for text in ("123", "null", "~", "läufe 🐈/a: b #c", 'say "x"\\y'):
        assert yaml.safe_load(runs.quoted("name", text).removeprefix("name=")) == text


ESCAPE = "\x1b]0;owned\x07\x1b[2J"


def test_names_in_a_run_are_shown_without_moving_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config({"name": "r", "storage": str(tmp_path), "pool": {"path": f"Löwe {ESCAPE}"}})
    RunDirectory.open(str(tmp_path), "r").write("config.yaml", print_config(config, RESOLVED).encode())
    assert cli.main(["status", f"{tmp_path}/r"]) == 0
    shown = capsys.readouterr().out
    assert "Löwe \\x1b]0;owned\\x07\\x1b[2J" in shown
    assert "\x1b" not in shown


def test_errors_are_shown_without_moving_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "info", f"/nowhere/{ESCAPE}\udc80.parquet"]) != 0
    shown = capsys.readouterr().err
    assert "\\x1b" in shown or "\\udc80" in shown
    assert "\x1b" not in shown
    assert cli.main(["config", f"name=a{ESCAPE}"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_what_the_terminal_has_no_letters_for_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config({"name": "r", "storage": str(tmp_path), "pool": {"path": "/Löwe 小"}})
    RunDirectory.open(str(tmp_path), "r").write("config.yaml", print_config(config, RESOLVED).encode())
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert cli.main(["status", f"{tmp_path}/r"]) == 0
    sys.stdout.flush()
    assert b"/L\\xf6we \\u5c0f" in shown.getvalue()


def test_a_configuration_is_read_back_whatever_letters_the_terminal_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert cli.main(["config", "pool.classes=[Löwe, 小]"]) == 0
    sys.stdout.flush()
    (tmp_path / "mine.yaml").write_bytes(shown.getvalue())
    assert read_config(tmp_path / "mine.yaml").pool.classes == ["Löwe", "小"]


def test_a_path_that_holds_a_new_line_is_shown_in_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "info", "/nowhere/a\nb.parquet"]) == 3
    shown = capsys.readouterr().err
    assert "/nowhere/a\\nb.parquet" in shown
    assert len(shown.strip().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tune"], "what is searched"),
        (["tune", "trials=3"], "what is searched"),
        (["tune", "{folder}/nowhere.yaml"], "cannot be read"),
        (["tune", "{folder}/nowhere", "--resume"], "there is no sweep here"),
        (["tune", "{folder}/empty.yaml"], "nothing is searched"),
        (["tune", "{folder}/good.yaml", "storage={folder}", "--resume"], "no sweep to take up"),
        (["tune", "{folder}/good.yaml", "resources.cpus=a"], "resources.cpus"),
    ],
)
def test_a_sweep_that_cannot_be_meant_is_refused_before_anything_starts(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.yaml").write_text("")
    (tmp_path / "good.yaml").write_text("space: {query.strategy: [margin, badge]}\n")
    assert cli.main([word.format(folder=tmp_path) for word in arguments]) > 0
    message = capsys.readouterr().err
    assert words in message
    assert len(message.strip().splitlines()) <= 3


def test_a_run_whose_strategy_a_script_brought_is_shown_and_its_resumption_sent_back_to_the_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Config(name="r", storage=str(tmp_path), query={"strategy": "mine"}, pool={"path": str(tmp_path / "gone")})
    RunDirectory.open(str(tmp_path), "r").write("config.yaml", print_config(config, RESOLVED).encode())
    assert cli.main(["status", f"{tmp_path}/r"]) == 0
    assert "run the script that began it again" in capsys.readouterr().out
    assert cli.main(["report", f"{tmp_path}/r"]) == 0
    assert cli.main(["resume", f"{tmp_path}/r"]) == RunError.exit_code
    assert "its strategy came from there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("end", "word", "code"), [(KeyboardInterrupt(), "interrupted", 130), (SystemExit(143), "terminated", 143)]
)
def test_sigterm_and_ctrl_c_say_once_what_continues(
    end: BaseException, word: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, ending("around"), ending("distal resume '/a b/r'"):
        raise end
    assert ended.value.exit_code == code
    said = f"{word}; every answered label and committed round is kept: distal resume '/a b/r'"
    assert capsys.readouterr().err.strip() == said


SIGNALLED_IN_A_CALLBACK = """
import os, signal, sys, time, weakref
from distal.cli.ending import end_on_sigterm

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its jobs in the background ignore it
end_on_sigterm()
anything = type("Anything", (), {})()
watched = weakref.ref(anything, lambda gone: os.kill(os.getpid(), signal.Signals[sys.argv[1]]))
del anything
time.sleep(20)
"""


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", -signal.SIGINT)])
def test_a_signal_that_comes_in_a_weak_references_callback_ends_the_process_all_the_same(name: str, code: int) -> None:
    """A labeling page once outlived its SIGTERM so: Python ignores what is raised there."""
    ended = subprocess.run([sys.executable, "-c", SIGNALLED_IN_A_CALLBACK, name], capture_output=True, text=True)
    assert ended.returncode == code
    assert "ignored" not in ended.stderr


@pytest.mark.parametrize(
    ("command", "reads"),
    [
        ("run", "distal.resolve.read_config"),
        ("resume", "distal.checkpoints.read_saved"),
        ("tune", "distal.cli.sweeps._read"),
    ],
)
def test_ctrl_c_says_what_continues_before_a_command_knows_what_it_runs(
    command: str, reads: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(reads, interrupted)
    assert cli.main([command, "given"]) == 130
    said = "interrupted; every answered label and committed round is kept: give the same command again"
    assert capsys.readouterr().err.strip() == said

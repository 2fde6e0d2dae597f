"""What a launch leaves behind in the temporary folder."""

import tempfile
from pathlib import Path

import pytest

from distal.driver.launch import BOOKKEEPING, bookkeeping
from distal.run.locks import flocked_folder


def test_folders_that_killed_processes_left_are_swept_and_those_of_living_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, living = tmp_path / f"{BOOKKEEPING}dead", tmp_path / f"{BOOKKEEPING}living"
    (dead / "distal-run").mkdir(parents=True)
    living.mkdir()
    with flocked_folder(living), bookkeeping() as own:
        assert set(tmp_path.iterdir()) == {living, Path(own)}
    assert set(tmp_path.iterdir()) == {living}

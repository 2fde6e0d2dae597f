import os
from pathlib import Path

import pytest

from distal.jobs.handed import HANDED_FILE, lay, take


def test_what_is_handed_over_is_set_there_and_readable_by_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTAL_TEST_HANDED", "before")
    lay(tmp_path, {"DISTAL_TEST_HANDED": "a b\n'c'"})
    assert (tmp_path / HANDED_FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / HANDED_FILE).chmod(0o644)
    monkeypatch.chdir(tmp_path)
    take()
    assert os.environ["DISTAL_TEST_HANDED"] == "a b\n'c'"
    assert (tmp_path / HANDED_FILE).stat().st_mode & 0o777 == 0o600


def test_nothing_handed_over_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    take()
    assert dict(os.environ) == before

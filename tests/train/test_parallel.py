"""What a launch asks of Train, and what it leaves behind in the temporary folder."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from distal.driver import launch as launching
from distal.driver.launch import BOOKKEEPING, CONTROL_WAIT_S, WorkerGroup, bookkeeping, launch
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


def test_control_goes_over_gloo_with_patience_whatever_the_workers_train_on(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[str, Any]] = []

    class Trainer:
        def __init__(self, work: Any, **settings: Any) -> None:
            made.append(settings)

        def fit(self) -> None:
            pass

    monkeypatch.setattr(launching, "_Trainer", Trainer)
    launch(lambda comm: None, WorkerGroup("gpus", workers=2, cpus=1.0, gpus=1.0, threads=1))
    control, scaling = made[0]["torch_config"], made[0]["scaling_config"]
    assert (control.backend, control.timeout_s) == ("gloo", CONTROL_WAIT_S)
    assert scaling.use_gpu

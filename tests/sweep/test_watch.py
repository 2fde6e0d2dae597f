"""Trials that wait for a place, none running, are told of; as soon as one runs, no more."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial

from distal.pool import waiting
from distal.run.directory import RunDirectory
from distal.sweep.watch import End, Watch, watch_nothing


def test_a_sweep_of_which_no_trial_runs_says_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(waiting, "free_now", lambda: "0 CPUs and 0 GPUs")
    watch = Watch(RunDirectory.open(str(tmp_path), "sweep"), End(None), 2, watch_nothing, "trials of 1 CPUs and 0 GPUs")
    pending: list[Any] = [SimpleNamespace(status=Trial.PENDING)] * 2
    with caplog.at_level(logging.WARNING):
        watch.on_step_begin(1, pending)
        clock.now = 31.0
        watch.on_step_begin(2, pending)
        watch.on_step_begin(3, [pending[0], SimpleNamespace(status=Trial.RUNNING)])
        clock.now = 62.0
        watch.on_step_begin(4, pending)
    said = "trials of 1 CPUs and 0 GPUs wait for a place since 31 s; free now: 0 CPUs and 0 GPUs"
    assert caplog.messages == [said]

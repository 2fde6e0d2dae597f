"""A round's training that is broken off goes on from what was kept of it, and ends as an unbroken one does."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from round_case import Run
from training_case import config, labeled_rows

from distal.checkpoints import read_checkpoint
from distal.communicator import Alone
from distal.config import Config
from distal.driver.drains import Drains
from distal.learning import UNFINISHED, Unfinished, restore, train
from distal.plan import Work, moments_of
from distal.pool.scope import Scope
from distal.progress import Event, Listener
from distal.run.directory import RunDirectory
from distal.run.ledger import Labels, Ledger
from distal.train.kept import Kept

KEPT = Kept(20, 1, {"a.safetensors": b"weights", "manifest.json": b"{}"}, {"recent": {"d": [0.1, 1 / 3]}})


class KilledError(Exception):
    """Stand for a process that is killed."""


def work_of(c: Config, listen: Listener) -> Work:
    """Return what a round's training needs of a run, with a few labels that were given."""
    run, ids = Run(c), np.arange(30)
    given = Labels(ids, ids % 10, np.zeros(30, np.int64))
    plan, ledger = replace(run.plan, given=given), Ledger(run.directory, 10)
    unasked: Any = None
    moments = moments_of(plan, run.shards)
    seen = None, moments, Scope(c, plan.images.rows, None)
    return Work(plan, run.shards, run.oracle, ledger, unasked, run.plan.reference, Alone(), listen, *seen)


@pytest.mark.parametrize("model", [{"kind": "gan"}, {"kind": "vae"}], ids=str)
def test_a_round_killed_in_its_training_goes_on_there_to_the_same_bytes(
    small_config: Callable[..., Config], model: dict[str, Any]
) -> None:
    small = {"width": 4, "features": 8}
    c = small_config(train={"steps": 50, "batch_size": 8, "checkpoint_s": 1e-9}, model=model, net=small)
    heard: list[int] = []

    def killed(event: Event) -> None:
        if event.done == 40:
            raise KilledError

    whole = work_of(c.model_copy(update={"name": f"{c.name}-unbroken"}), lambda event: None)
    train(whole, restore(whole.plan, Alone()), 1)
    broken = work_of(c, killed)
    with pytest.raises(KilledError):
        train(broken, restore(broken.plan, Alone()), 1)
    resumed = work_of(c, lambda event: heard.append(event.done))
    train(resumed, restore(resumed.plan, Alone()), 1)
    assert heard == [39, 40, 50], "a slow update is kept before the next report"
    assert read_checkpoint(resumed.plan.run, 1) == read_checkpoint(whole.plan.run, 1)
    assert resumed.plan.run.list("rounds/0001") == ["checkpoint"], "what was kept is gone"


def test_what_is_kept_when_a_node_is_about_to_go_is_gone_on_from_with_the_same_stream(
    small_config: Callable[..., Config],
) -> None:
    small = {"width": 4, "features": 8}
    c = small_config(train={"steps": 50, "batch_size": 8, "checkpoint_s": None}, net=small)
    told = Told()

    def noticed_and_taken(event: Event) -> None:
        told.nodes = event.done // 20
        if event.done == 50:
            raise KilledError

    whole = work_of(c.model_copy(update={"name": f"{c.name}-unbroken"}), lambda event: None)
    train(whole, restore(whole.plan, Alone()), 1)
    broken = replace(work_of(c, noticed_and_taken), going=told)
    with pytest.raises(KilledError):
        train(broken, restore(broken.plan, Alone()), 1)
    heard: list[int] = []
    resumed = work_of(c, lambda event: heard.append(event.done))
    train(resumed, restore(resumed.plan, Alone()), 1)
    assert heard == [41, 50]
    assert read_checkpoint(resumed.plan.run, 1) == read_checkpoint(whole.plan.run, 1)


class Told(Drains):
    """Be told of this many nodes so far, without a cluster."""

    nodes = 0

    def __call__(self) -> int:
        self._seen |= {str(number) for number in range(self.nodes)}
        return super().__call__()


def test_each_node_that_is_about_to_go_is_a_reason_to_keep_once(tmp_path: Path) -> None:
    told, run = Told(), RunDirectory.open(str(tmp_path), "run")
    keeper = Unfinished(run, 1, config(checkpoint_s=None), labeled_rows(6), told)
    assert not keeper.due()
    told.nodes = 2
    assert keeper.due()
    keeper.keep(KEPT)
    assert not keeper.due()
    next_round = Unfinished(run, 2, config(checkpoint_s=None), labeled_rows(6), told)
    assert not next_round.due(), "what they would have taken was kept a round ago"
    told.nodes = 3
    assert next_round.due()


def unfinished(folder: Path, labels: int = 6, **train: Any) -> Unfinished:
    return Unfinished(RunDirectory.open(str(folder), "run"), 1, config(**train), labeled_rows(labels))


def test_what_was_kept_is_read_back_where_labels_and_configuration_are_the_same(tmp_path: Path) -> None:
    unfinished(tmp_path).keep(KEPT)
    assert unfinished(tmp_path).read() == KEPT
    assert unfinished(tmp_path, threads=1, checkpoint_s=9.0).read() == KEPT
    unfinished(tmp_path).clear()
    assert unfinished(tmp_path).read() is None


@pytest.mark.parametrize("change", [{"labels": 7}, {"steps": 9}, {"learning_rate_g": 0.1}], ids=str)
def test_what_was_kept_for_something_else_is_said_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    unfinished(tmp_path).keep(KEPT)
    with caplog.at_level(logging.WARNING):
        assert unfinished(tmp_path, **change).read() is None
    assert "other labels or another configuration; the round begins anew" in caplog.text


@pytest.mark.parametrize("spoil", [lambda data: data[:-3], lambda data: data[:-1] + b"?", lambda data: data[:40]])
def test_a_damaged_file_is_said_and_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[bytes], bytes]
) -> None:
    unfinished(tmp_path).keep(KEPT)
    path = tmp_path / f"run/rounds/0001/{UNFINISHED}"
    path.write_bytes(spoil(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert unfinished(tmp_path).read() is None
    assert "the round begins anew" in caplog.text


def test_it_is_time_to_keep_once_the_interval_has_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    every_minute, never = unfinished(tmp_path, checkpoint_s=60.0), unfinished(tmp_path, checkpoint_s=None)
    assert not every_minute.due()
    now[0] += 60.0
    assert every_minute.due()
    assert not never.due()
    every_minute.keep(KEPT)
    assert not every_minute.due()

"""A round's training that is broken off goes on from what was kept of it, and ends as an unbroken one does."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from round_case import Run, contents

from distal.config import Config
from distal.learning import UNFINISHED
from distal.progress import Event

FILE = f"rounds/0002/{UNFINISHED}"


class KilledError(Exception):
    """Stand for a process that is killed."""


class Killed(list[Event]):
    """Hear of progress until the second round's training has made some updates."""

    def append(self, event: Event) -> None:
        super().append(event)
        if (event.round, event.phase, event.done) == (2, "train", 60):
            raise KilledError


Settings = Callable[..., Config]


@pytest.fixture
def settings(small_config: Callable[..., Config]) -> Settings:
    """Return what makes a configuration whose rounds are kept at every report of their training but the last."""

    def make(checkpoint_s: float | None = 1e-9, **sections: Any) -> Config:
        train = {"steps": 70, "batch_size": 8, "checkpoint_s": checkpoint_s}
        return small_config(train=train, classifier="head", **sections)

    return make


def broken(config: Config) -> Run:
    run = Run(config)
    run.events = Killed()
    with pytest.raises(KilledError):
        run.go()
    return run


def trained_from(run: Run) -> list[int]:
    return [event.done for event in run.events if event.phase == "train" and event.round == 2]


@pytest.mark.parametrize("kind", ["gan", "vae"])
def test_a_round_killed_in_its_training_goes_on_there_to_the_same_bytes(settings: Settings, kind: str) -> None:
    config = settings(model={"kind": kind})
    unbroken = Run(config.model_copy(update={"name": f"{config.name}-unbroken"}))
    unbroken.go()
    assert (broken(config).folder / FILE).exists()
    resumed = Run(config)
    resumed.go()
    assert trained_from(resumed) == [40, 60, 70]
    assert contents(resumed.folder) == contents(unbroken.folder)


def test_nothing_is_kept_where_no_interval_is_asked_for(settings: Settings) -> None:
    run = broken(settings(checkpoint_s=None))
    assert not (run.folder / FILE).exists()


@pytest.mark.parametrize("spoil", ["damaged", "cut", "of other updates"])
def test_what_cannot_be_gone_on_from_is_said_and_the_round_begins_anew(
    settings: Settings, caplog: pytest.LogCaptureFixture, spoil: str
) -> None:
    run = broken(settings())
    kept = (run.folder / FILE).read_bytes()
    if spoil == "of other updates":
        kept = kept.replace(b'\\"round\\": 2', b'\\"round\\": 1')
    (run.folder / FILE).write_bytes(kept[:-9] if spoil == "cut" else kept[:-1] + b"?" if spoil == "damaged" else kept)
    resumed = Run(settings())
    with caplog.at_level(logging.WARNING):
        resumed.go()
    assert trained_from(resumed)[0] == 0
    assert "the round begins anew" in caplog.text
    assert not (resumed.folder / FILE).exists()

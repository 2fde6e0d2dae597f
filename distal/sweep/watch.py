"""Hear what Tune hears of the trials: tell whoever watches, note who was given up, and end the sweep where it must."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray.tune import Callback, Stopper
from ray.tune.experiment import Trial

from distal.errors import StorageError
from distal.pool.waiting import Waiting
from distal.run.directory import RunDirectory
from distal.sweep.space import Point
from distal.sweep.trials import ENDED, TRIALS, read_note, write_note


@dataclass(frozen=True)
class Progress:
    """State one fact of a sweep: a trial's round, or its end.

    trial, point, seed: which. state: running, stopped, finished or failed. round, asked, value: its last round.
    seconds: its compute so far. ended, trials: trials that have ended, and trials in all. reason: why it failed.
    """

    trial: str
    point: Point
    seed: int
    state: str
    round: int
    asked: int
    value: float | None
    seconds: float
    ended: int
    trials: int
    reason: str = ""


Watcher = Callable[[Progress], None]


def watch_nothing(progress: Progress) -> None:
    """Watch nothing."""


class End(Stopper):  # type: ignore[misc]
    """End the sweep: at its time, or where going on is in vain for every trial."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self.fatal = ""

    @property
    def over(self) -> bool:
        """Return whether the sweep's time has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no trial by itself."""
        return False

    def stop_all(self) -> bool:
        """Return whether to end the sweep."""
        return bool(self.fatal) or self.over


class Watch(Callback):  # type: ignore[misc]
    """Hear what Tune hears: note which trials were given up, and tell whoever watches.

    needs: what waits for a place while no trial runs, for people.
    """

    def __init__(self, directory: RunDirectory, end: End, trials: int, watch: Watcher, needs: str) -> None:
        self._directory, self._end, self._trials, self._watch = directory, end, trials, watch
        self._needs = needs
        self._waiting: Waiting | None = None
        self.ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out who watches: Tune writes its callbacks down, and nobody reads them back."""
        return self.__dict__ | {"_watch": watch_nothing}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Say so where trials wait for a place and none runs, as on a cluster that has yet to start a node."""
        if any(trial.status == Trial.RUNNING for trial in trials):
            self._waiting = None
        elif self._waiting is None:
            self._waiting = Waiting(self._needs)
        else:
            self._waiting.tell()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tell of a round; note what ends the sweep."""
        self._end.fatal = self._end.fatal or result.get("fatal", "")
        if not result["ended"]:
            self._tell(trial, result, "running")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note a trial that Tune's scheduler gave up; those that end with the sweep stay unfinished."""
        result = trial.last_result or {}
        if "fatal" in result or "trial_run" not in result or self._end.stop_all():
            return
        run = self._directory.inside(TRIALS, result["trial_run"])
        given_up = f"given up after {result['asked']} labels, at {result['objective']:.4g}"
        try:
            note = read_note(run, ENDED)
            if note is None:
                note = {"state": "stopped", "reason": given_up}
                write_note(run, ENDED, note)
        except StorageError as error:
            self._end.fatal = str(error)
            return
        self.ended.add(trial.trial_id)
        self._tell(trial, result, note["state"], note["reason"])

    def _tell(self, trial: Any, result: dict[str, Any], state: str, reason: str = "") -> None:
        config = trial.config.get("trial", trial.config)
        at = (result["round"], result["asked"], result["value"], result["seconds"])
        counts = (len(self.ended), self._trials, reason)
        self._watch(Progress(result["trial_run"], config["point"], config["seed"], state, *at, *counts))

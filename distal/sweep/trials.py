"""Name the folders of a sweep, and say what became of each trial, from its run directory alone."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from distal.errors import StorageError
from distal.run.directory import RunDirectory
from distal.run.results import RoundResult, read_result
from distal.sweep.objective import smoothed
from distal.sweep.space import Point, describe_point, point_id

State = Literal["finished", "stopped", "failed", "unfinished"]
TRIAL, ENDED = "trial.json", "ended.json"
TRIALS = "trials"


@dataclass(frozen=True)
class RoundPoint:
    """Show one committed round of a trial.

    asked: labels asked for so far, which trials are compared at. seconds: compute since the trial's beginning.
    value: the sweep's metric, None where undefined. objective: what was compared, smoothed.
    """

    round: int
    asked: int
    seconds: float
    value: float | None
    objective: float
    scores: dict[str, float | None]


@dataclass(frozen=True)
class Trial:
    """Hold one trial: a point of the space under one seed, its run directory, and what became of it.

    state: finished (its run came to its own end), stopped (given up early), failed, or unfinished (the sweep ended
    before it). point: the values that stand in the trial's own config.yaml, not those that were asked for.
    """

    name: str
    point: Point
    seed: int
    state: State
    reason: str
    curve: tuple[RoundPoint, ...]

    @property
    def last(self) -> RoundPoint | None:
        """Return the last committed round."""
        return self.curve[-1] if self.curve else None

    @property
    def seconds(self) -> float:
        """Return the compute of all committed rounds."""
        return self.curve[-1].seconds if self.curve else 0.0

    def __str__(self) -> str:
        return f"{self.name} ({describe_point(self.point)}, seed {self.seed})"


def trial_name(point: Point, seed: int) -> str:
    """Return the folder of a trial, a function of its point and seed: whoever makes the trial again finds its run."""
    return f"{point_id(point)}-s{seed}"


def curve_of(results: Sequence[RoundResult], metric: str, mode: str, smoothing: float) -> tuple[RoundPoint, ...]:
    """Return the committed rounds as they are compared."""
    values = [result.value(metric) for result in results]
    points, seconds = [], 0.0
    for i, result in enumerate(results):
        seconds += sum(result.metrics.get("seconds", {}).values())
        scores = {score["name"]: score["value"] for score in result.metrics["scores"] if score["class"] is None}
        asked = int(result.metrics.get("asked", result.metrics["labels"]))
        objective = smoothed(values[: i + 1], mode, smoothing)
        points.append(
            RoundPoint(result.round, asked, seconds, values[i], objective, {**scores, "distance": result.distance})
        )
    return tuple(points)


def read_results(run: RunDirectory) -> list[RoundResult]:
    """Read the committed rounds of a trial that trained: others have no value to be compared by."""
    return [result for number in run.committed() if (result := read_result(run, number)).trained]


def read_trial(run: RunDirectory, keys: Collection[str]) -> dict[str, Any]:
    """Read trial.json: point, seed, number, begun, and of a later generation its origin.

    keys: the searched ones; no other may stand in the point, which becomes a configuration.

    Raises:
        StorageError: it is missing, or not what a trial of this sweep writes.
    """
    note = read_note(run, TRIAL) or {}
    point = note.get("point")
    whole = isinstance(note.get("seed"), int) and isinstance(note.get("number"), int)
    if not (isinstance(point, dict) and set(point) <= set(keys) and whole and isinstance(note.get("begun"), float)):
        raise StorageError(
            f"{run.place(TRIAL)} is damaged: not what a trial of this sweep writes.\n"
            "Delete the trial's folder to have it made again."
        )
    return note


def read_note(run: RunDirectory, name: str) -> dict[str, Any] | None:
    """Read trial.json or ended.json; None where it is missing.

    Raises:
        StorageError: it is no JSON object.
    """
    if not run.has(name):
        return None
    try:
        note = json.loads(run.read(name))
    except ValueError:
        note = None
    if not isinstance(note, dict):
        raise StorageError(
            f"{run.place(name)} is damaged: not the JSON of a trial.\nDelete it to have the trial made again."
        )
    return note


def write_note(run: RunDirectory, name: str, note: dict[str, Any]) -> None:
    """Write trial.json or ended.json."""
    run.write(name, (json.dumps(note, indent=1) + "\n").encode())

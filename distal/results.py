"""Read what a committed round came to: its metrics.json, and the score that stopping and the report follow."""

import json
from dataclasses import dataclass
from typing import Any

from distal.errors import StorageError
from distal.rundir import RunDirectory, round_path


@dataclass(frozen=True)
class RoundResult:
    """Show one committed round: its number and the contents of its metrics.json."""

    round: int
    metrics: dict[str, Any]

    @property
    def distance(self) -> float | None:
        """Return the goal's value: the Frechet distance that stopping follows, None where it is undefined."""
        return self.score(self.metrics["goal"])

    def score(self, name: str) -> float | None:
        """Return the value of a score over all classes, None where it is absent or undefined."""
        return next((s["value"] for s in self.metrics["scores"] if s["name"] == name and s["class"] is None), None)

    def headline(self) -> dict[str, float | str]:
        """Return the few figures that a line of progress shows: labels, distance, accuracy, agreement."""
        names = (self.metrics["goal"], "accuracy", "agreement")
        facts: dict[str, float | str] = {"labels": self.metrics["labels"]}
        return facts | {name: value for name in names if (value := self.score(name)) is not None}


def read_result(run: RunDirectory, round: int) -> RoundResult:
    """Read a committed round back; StorageError where its metrics.json is damaged."""
    path = round_path(round, "metrics.json")
    try:
        metrics = json.loads(run.read(path))
    except ValueError:
        metrics = None
    if not isinstance(metrics, dict) or not {"goal", "scores", "labels"} <= metrics.keys():
        raise StorageError(f"{run.place(path)} is damaged: not the JSON of a round.\nRestore this file from a copy.")
    return RoundResult(round, metrics)

"""Read what a committed round came to: its metrics.json, and the score that stopping and the report follow."""

import json
from dataclasses import dataclass
from typing import Any

from distal.run.directory import RunDirectory, round_path
from distal.run.judgements import judged_scores

_LARGEST = 2**63  # integers beyond cannot be formatted as numbers, and no count gets there


@dataclass(frozen=True)
class RoundResult:
    """Show one committed round: its number and the contents of its metrics.json, with what people judged since."""

    round: int
    metrics: dict[str, Any]

    @property
    def trained(self) -> bool:
        """Say whether the round trained the model; between, by `train.every`, only the probe is measured."""
        return bool(self.metrics.get("trained", True))

    def __repr__(self) -> str:
        shown = {"labels": self.metrics["labels"], "distance": self.distance}
        shown |= {name: self.score(name) for name in ("accuracy", "probe_accuracy", "agreement")}
        figures = (f"{name}={value:.4g}" for name, value in shown.items() if value is not None)
        return f"RoundResult(round={self.round}, {', '.join(figures)})"

    @property
    def distance(self) -> float | None:
        """Return the goal's value: the Frechet distance that stopping follows, None where it is undefined."""
        return self.score(self.metrics["goal"])

    def value(self, metric: str) -> float | None:
        """Return what stopping or a sweep follows: ``distance``, or the score of this name over all classes."""
        return self.distance if metric == "distance" else self.score(metric)

    def score(self, name: str) -> float | None:
        """Return the value of a score over all classes, None where it is absent or undefined."""
        return next((s["value"] for s in self.metrics["scores"] if s["name"] == name and s["class"] is None), None)

    def headline(self) -> dict[str, float | str]:
        """Return the few figures that a line of progress shows: labels, distance, accuracies, agreement."""
        names = (self.metrics["goal"], "accuracy", "probe_accuracy", "agreement")
        facts: dict[str, float | str] = {"labels": self.metrics["labels"]}
        return facts | {name: value for name in names if (value := self.score(name)) is not None}


def read_result(run: RunDirectory, round: int) -> RoundResult:
    """Read a committed round back; StorageError where its metrics.json, or what people judged, is damaged."""
    path = round_path(round, "metrics.json")
    try:
        metrics = json.loads(run.read(path))
    except (ValueError, RecursionError):
        metrics = None
    if not _is_result(metrics):
        raise run.damaged(path, "not the JSON of a round")
    return RoundResult(round, metrics | {"scores": [*metrics["scores"], *judged_scores(run, round)]})


def _is_result(metrics: Any) -> bool:
    """Say whether all that a RoundResult reads is there and of its type."""
    if not isinstance(metrics, dict) or not {"goal", "scores", "labels"} <= metrics.keys():
        return False
    labels, scores = metrics["labels"], metrics["scores"]
    if not (isinstance(metrics["goal"], str) and _is_whole(labels) and isinstance(scores, list)):
        return False
    return all(map(_is_score, scores))


def _is_score(score: Any) -> bool:
    if not isinstance(score, dict) or not {"name", "value", "class"} <= score.keys():
        return False
    value, class_name = score["value"], score["class"]
    numeric = value is None or isinstance(value, float) or _is_whole(value)
    return isinstance(score["name"], str) and numeric and (class_name is None or isinstance(class_name, str))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST

"""What a run's events and rounds come to as metrics, read where Ray keeps them before it sends them."""

from typing import Any

import pytest

from distal.driver import telemetry
from distal.driver.telemetry import Telemetry
from distal.progress import Event
from distal.run.results import RoundResult


class Recorded:
    """Stand where Ray's Counter and Gauge stand, and remember."""

    values: dict[tuple[str, str], float]

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...]) -> None:
        assert description
        self.name, self.keys = name, tag_keys

    def set_default_tags(self, tags: dict[str, str]) -> None:
        assert tags == {"run": "scans"}

    def inc(self, value: float, tags: dict[str, str]) -> None:
        assert value > 0
        self._note(tags, lambda old: old + value)

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        self._note(tags or {}, lambda old: value)

    def _note(self, tags: dict[str, str], change: Any) -> None:
        assert set(tags) | {"run"} == set(self.keys)
        key = (self.name, ",".join(tags.values()))
        self.values[key] = change(self.values.get(key, 0.0))


def test_events_and_rounds_become_the_metrics_that_the_dashboard_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    Recorded.values = {}
    monkeypatch.setattr(telemetry, "Counter", Recorded)
    monkeypatch.setattr(telemetry, "Gauge", Recorded)
    heard: list[Event] = []
    listen = Telemetry("scans", heard.append)
    facts: dict[str, float | str] = {"rows": 900, "bytes": 320, "scorer_bytes": 0, "strategy": "random"}
    events = [Event(1, "acquire", 0, 10), Event(1, "acquire", 10, 10, facts)]
    events += [Event(1, "train", done, 40) for done in (0, 20, 40)]
    for event in events:
        listen(event)
    scores = [
        {"name": "fd_pool-cnn", "value": 7.5, "class": None},
        {"name": "fd_pool-cnn", "value": 9.0, "class": "a"},
        {"name": "accuracy", "value": None, "class": None},
    ]
    seconds = {"train": 1.5, "evaluate": 0.5}
    listen.committed(RoundResult(1, {"labels": 10, "cost": 12.0, "scores": scores, "seconds": seconds}))
    for done in (0, 30):
        listen(Event(2, "train", done, 40))
    assert heard == [*events, Event(2, "train", 0, 40), Event(2, "train", 30, 40)]
    assert Recorded.values == {
        ("distal_rows_scored", ""): 900,
        ("distal_bytes_moved", "candidates"): 320,
        ("distal_train_steps", ""): 70,
        ("distal_round", ""): 1,
        ("distal_labels", ""): 10,
        ("distal_cost", ""): 12.0,
        ("distal_score", "fd_pool-cnn"): 7.5,
        ("distal_phase_seconds", "train"): 1.5,
        ("distal_phase_seconds", "evaluate"): 0.5,
    }

"""Export a run's progress as metrics of Ray, which Prometheus collects and `cluster/grafana/distal.json` shows.

Every metric has the tag `run`; Ray puts `ray_` before its name and `_total` behind a counter's.
"""

from ray.util.metrics import Counter, Gauge

from distal.progress import Event, Listener
from distal.run.results import RoundResult

COUNTERS = {
    "distal_rows_scored": ("Pool rows scored.", ()),
    "distal_train_steps": ("Updates of G and D.", ()),
    "distal_bytes_moved": ("Payload between the driver and the shards.", ("kind",)),
}
GAUGES = {
    "distal_round": ("Rounds committed.", ()),
    "distal_labels": ("Labels that the model was trained on.", ()),
    "distal_cost": ("Cost of all answers.", ()),
    "distal_score": ("Scores of the last committed round.", ("score",)),
    "distal_variety": ("How varied the images of a class are beside its labeled ones: mean and least.", ("of",)),
    "distal_phase_seconds": ("Seconds of each phase in the last committed round.", ("phase",)),
}
"""What each metric is, and its tags besides `run`."""


class Telemetry:
    """Listen to a run's events, keep the metrics, and pass each event on.

    Args:
        run: the run's name. listen: who hears the events next.
    """

    def __init__(self, run: str, listen: Listener) -> None:
        self._listen = listen
        self._steps = 0
        self._counters = {name: Counter(name, text, ("run", *tags)) for name, (text, tags) in COUNTERS.items()}
        self._gauges = {name: Gauge(name, text, ("run", *tags)) for name, (text, tags) in GAUGES.items()}
        for metric in (*self._counters.values(), *self._gauges.values()):
            metric.set_default_tags({"run": run})

    def __call__(self, event: Event) -> None:
        """Update the metrics with one event."""
        facts = event.facts
        if event.phase == "acquire" and "rows" in facts:
            self._add("distal_rows_scored", facts["rows"])
            self._add("distal_bytes_moved", facts["bytes"], kind="candidates")
            self._add("distal_bytes_moved", facts["scorer_bytes"], kind="scorer")
        elif event.phase == "train":
            self._add("distal_train_steps", event.done - self._steps)
            self._steps = event.done
            for of, name in (("mean", "variety"), ("least", "variety_least")):
                if name in facts:
                    self._gauges["distal_variety"].set(float(facts[name]), {"of": of})
        self._listen(event)

    def committed(self, result: RoundResult) -> None:
        """Update the metrics with a committed round."""
        metrics = result.metrics
        self._steps = 0
        self._gauges["distal_round"].set(result.round)
        self._gauges["distal_labels"].set(metrics["labels"])
        self._gauges["distal_cost"].set(metrics["cost"])
        for score in metrics["scores"]:
            if score["class"] is None and score["value"] is not None:
                self._gauges["distal_score"].set(score["value"], {"score": score["name"]})
        for phase, seconds in metrics["seconds"].items():
            self._gauges["distal_phase_seconds"].set(seconds, {"phase": phase})

    def _add(self, name: str, amount: float | str, **tags: str) -> None:
        if float(amount) > 0:  # Ray refuses to count nothing
            self._counters[name].inc(float(amount), tags)

"""Export a run's progress as metrics of Ray, which Prometheus collects and `cluster/grafana/distal.json` shows.

Every metric has the tag `run`; Ray puts `ray_` before its name and `_total` behind a counter's.
"""

from ray.util.metrics import Counter, Gauge

from distal.progress import Event, Listener
from distal.results import RoundResult


class Telemetry:
    """Listen to a run's events, keep the metrics, and pass each event on.

    Args:
        run: the run's name. listen: who hears the events next.
    """

    def __init__(self, run: str, listen: Listener) -> None:
        self._listen = listen
        self._steps = 0
        tags, run_tag = ("run",), {"run": run}

        def counter(name: str, description: str, *more: str) -> Counter:
            metric = Counter(name, description=description, tag_keys=(*tags, *more))
            metric.set_default_tags(run_tag)
            return metric

        def gauge(name: str, description: str, *more: str) -> Gauge:
            metric = Gauge(name, description=description, tag_keys=(*tags, *more))
            metric.set_default_tags(run_tag)
            return metric

        self._rows = counter("distal_rows_scored", "Pool rows scored.")
        self._train_steps = counter("distal_train_steps", "Updates of G and D.")
        self._bytes = counter("distal_bytes_moved", "Payload between the driver and the shards.", "kind")
        self._round = gauge("distal_round", "Rounds committed.")
        self._labels = gauge("distal_labels", "Labels that the model was trained on.")
        self._cost = gauge("distal_cost", "Cost of all answers.")
        self._score = gauge("distal_score", "Scores of the last committed round.", "score")
        self._seconds = gauge("distal_phase_seconds", "Seconds of each phase in the last committed round.", "phase")

    def __call__(self, event: Event) -> None:
        """Update the metrics with one event."""
        facts = event.facts
        if event.phase == "acquire" and "rows" in facts:
            _add(self._rows, facts["rows"])
            _add(self._bytes, facts["bytes"], kind="candidates")
            _add(self._bytes, facts["scorer_bytes"], kind="scorer")
        elif event.phase == "train":
            _add(self._train_steps, event.done - self._steps)
            self._steps = event.done
        self._listen(event)

    def committed(self, result: RoundResult) -> None:
        """Update the metrics with a committed round."""
        metrics = result.metrics
        self._steps = 0
        self._round.set(result.round)
        self._labels.set(metrics["labels"])
        self._cost.set(metrics["cost"])
        for score in metrics["scores"]:
            if score["class"] is None and score["value"] is not None:
                self._score.set(score["value"], {"score": score["name"]})
        for phase, seconds in metrics["seconds"].items():
            self._seconds.set(seconds, {"phase": phase})


def _add(counter: Counter, amount: float | str, **tags: str) -> None:
    if float(amount) > 0:  # Ray refuses to count nothing
        counter.inc(float(amount), tags)

"""Say who classifies: whose class probabilities chose each round's query, and how good probe and head are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from distal.features import network_name
from distal.features.competition import Verdict
from distal.report.collect import Metrics, RunRecord
from distal.report.figures import Line, share_curves
from distal.report.wording import number

ACCURACIES = (("probe_accuracy_balanced", "probe"), ("accuracy_balanced", "head"))
_SEES = {
    "pixels": "the pool's own pixels, {side} px a side",
    "autoencoder": "the pool's own images, shrunk to 32 px at most",
}
_SEES_ORIGINALS = "the original file, decoded at the network's own size"


@dataclass(frozen=True)
class Belief:
    """Hold one round: who is believed after it, why, and what was measured on the held-out images."""

    round: int
    labels: int
    verdict: Verdict
    losses: str
    temperatures: str
    probe: float | None
    head: float | None
    calibration: float | None


@dataclass(frozen=True)
class EyesView:
    """Hold the section: a sentence on the network, one on who is believed, the figure and a row a round."""

    network: str
    summary: str
    figure: str
    rows: tuple[Belief, ...]


def eyes_view(record: RunRecord) -> EyesView | None:
    """Return what the page says of who classifies; None before a round says so, and where the head alone does."""
    rows = [_belief(round, m, m.believed) for round, m in record.measured if m.believed is not None]
    if not rows:
        return None
    return EyesView(
        network_sentence(record), summary([(r.round, r.verdict) for r in rows]), _figure(record), tuple(rows)
    )


def network_sentence(record: RunRecord) -> str:
    """Say which frozen network looked at the pool, and at what; empty where config.yaml does not tell."""
    try:
        resolved = record.config["resolved"]
        side, rows = int(resolved["image_size"]), int(resolved["rows"])
        name = network_name(str(record.config["features"]["network"]), side)
        components = int(record.config["features"]["components"])
    except (KeyError, TypeError, ValueError):
        return ""
    sees = _SEES.get(name, _SEES_ORIGINALS).format(side=side)
    return (
        f"The frozen network {name} looks at each of the {rows:,} images once ({sees}). The probe and the strategies "
        f"see {components} principal components of its features, or all where it has fewer."
    )


def summary(verdicts: Sequence[tuple[int, Verdict]]) -> str:
    """Say who is believed after which rounds: probe (rounds 1 to 3), product (since round 4)."""
    spans = [
        (name, [round for round, _ in group]) for name, group in groupby(verdicts, lambda pair: pair[1].classifier)
    ]
    if len(spans) == 1:
        return f"{spans[0][0]} in every round"
    *earlier, (last, rounds) = spans
    said = [f"{name} (after {_span(after)})" for name, after in earlier]
    return ", ".join([*said, f"{last} (since round {rounds[0]})"])


def _span(rounds: Sequence[int]) -> str:
    return f"round {rounds[0]}" if len(rounds) == 1 else f"rounds {rounds[0]} to {rounds[-1]}"


def _belief(round: int, metrics: Metrics, verdict: Verdict) -> Belief:
    return Belief(
        round=round,
        labels=metrics.labels,
        verdict=verdict,
        losses=_listed(verdict.losses),
        temperatures=_listed(verdict.temperatures) if verdict.losses else "–",
        probe=metrics.value("probe_accuracy"),
        head=metrics.value("accuracy"),
        calibration=metrics.value("probe_accuracy_calibration"),
    )


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {number(value, 2)}" for name, value in values.items()) or "–"


def _figure(record: RunRecord) -> str:
    """Draw mean recall over the classes of probe and head; empty where no round has labeled held-out images."""
    metrics = [m for _, m in record.measured]
    lines = [Line(title, [m.value(name) for m in metrics]) for name, title in ACCURACIES]
    known = [line for line in lines if any(value is not None for value in line.values)]
    if not known:
        return ""
    return share_curves([m.labels for m in metrics], known, "eyes", "Accuracy of probe and head, mean of the classes")

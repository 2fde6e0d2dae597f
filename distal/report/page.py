"""Turn the record of a run into what the page shows: sentences, tiles, rows, figures. No file is touched here."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from distal.metrics.registry import score_title, short_title
from distal.report.collect import PHASES, Metrics, RoundRecord, RunRecord, ScoreLine
from distal.report.figures import Line, distance_curves, share_curves, time_bars
from distal.report.wording import count, duration, number, percent
from distal.run.given import number_given

_WAIT_DWARFS = (
    5.0  # waiting for people beyond this multiple of all other time would flatten every bar: left out, and said
)


@dataclass(frozen=True)
class Tile:
    """Hold one number of the headline."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class ClassRow:
    """Hold one class: labels by round as (round, labels), and its scores in the last committed round."""

    name: str
    by_round: tuple[tuple[int, int], ...]
    distance: float | None
    agreement: float | None

    @property
    def labels(self) -> int:
        """Return the labels of this class in all rounds."""
        return sum(n for _, n in self.by_round)


@dataclass(frozen=True)
class TimeView:
    """Hold the figure of time by phase, the totals as (phase, seconds, share), and what is left out of the figure."""

    figure: str
    totals: tuple[tuple[str, float, float], ...]
    note: str


def lead(record: RunRecord) -> str:
    """Say in one or two sentences what came out."""
    measured = record.measured
    if not measured:
        return "No round is committed yet, so there are no scores. Labels given so far are kept and shown below."
    last = measured[-1][1]
    spent = f"{count(last.labels, 'label')} in {count(len(measured), 'round')}"
    values = [(m.labels, m.value(last.goal)) for _, m in record.trained]
    known = [(labels, value) for labels, value in values if value is not None]
    parts = [f"{spent}."]
    if len(known) > 1:
        first, final = known[0][1], known[-1][1]
        parts = [
            f"{spent}: {score_title(last.goal)} went from {number(first)} to {number(final)}{_times(first, final)}."
        ]
    elif known:
        parts = [f"{spent}: {score_title(last.goal)} {number(known[0][1])}."]
    if known:
        parts.append(_against_floor(record.trained[-1][1], known[-1][1]))
    agreement = record.trained[-1][1].value("agreement") if record.trained else None
    if agreement is not None:
        parts.append(f"{percent(agreement)} of the generated images are of the class asked.")
    return " ".join(filter(None, parts))


def _against_floor(last: Metrics, distance: float) -> str:
    """Say how good a distance is: beside that of real images from real images."""
    floor = last.value(f"{last.goal}_floor")
    if not floor or floor <= 0:
        return ""
    ratio = distance / floor
    reached = "no worse than that" if ratio <= 1.0 else f"{number(ratio, 2)} times that"
    return f"About {number(floor, 2)} is the floor, the distance of real images from real images; this is {reached}."


def _times(first: float, final: float) -> str:
    if first <= 0 or final <= 0:
        return ""
    ratio = first / final
    return f", {number(ratio, 3)} times lower" if ratio >= 1.05 else " (higher)" if ratio <= 0.95 else " (no change)"


def status(record: RunRecord) -> tuple[str, str]:
    """Return (ended or open, sentence): why the run ended, or what it waits for."""
    reason = record.stopped.get("message") or record.stopped.get("reason")
    if reason:
        return "ended", f"Ended: {reason}"
    pending = [r for r in record.rounds if not r.committed]
    if pending and pending[-1].count("waiting"):
        return "open", f"Round {pending[-1].round} waits for {count(pending[-1].count('waiting'), 'label')}"
    if pending:
        return "open", f"Round {pending[-1].round} is in progress"
    return "open", "Not ended: another round may follow" if record.rounds else "Not started: nothing is asked yet"


def tiles(record: RunRecord) -> list[Tile]:
    """Return the numbers of the headline."""
    measured = record.measured
    answered = sum(len(r.asked) - r.count("waiting") for r in record.rounds)
    declined = sum(r.count("declined") for r in record.rounds)
    budget = _budget(record)
    details = [f"{answered:,} of {budget:,} answered" if budget else f"{answered:,} answered"]
    if declined:
        details.append(f"{declined:,} declined")
    resolved = record.config.get("resolved")
    given = number_given(resolved) if isinstance(resolved, dict) else 0
    if given:
        details.append(f"{count(given, 'more label was', 'more labels were')} given")
        details += [record.references] if record.references else []
    last = measured[-1][1] if measured else None
    if last is not None and abs(last.cost - last.asked) > 1e-9:
        details.append(f"cost {number(last.cost)}")
    found = [Tile("Labels", f"{record.labels:,}", ", ".join(details))]
    if last is None:
        return found
    if record.trained:
        found.append(_distance_tile(record.trained))
    for name, title in SHARES:
        if last.value(name) is not None:
            values = [v for _, m in measured if (v := m.value(name)) is not None]
            said = [f"from {percent(values[0])}"] if len(values) > 1 else []
            even = last.value(f"{name}_balanced")
            said += [] if even is None else [f"mean of the classes {percent(even)}"]
            found.append(Tile(title, percent(values[-1]), "; ".join(said)))
    seconds = sum(sum(m.seconds.values()) for _, m in measured)
    found.append(Tile("Time", duration(seconds), _time_detail(measured)))
    return found


def _time_detail(measured: list[tuple[int, Metrics]]) -> str:
    reference = sum(m.seconds.get("reference", 0.0) for _, m in measured)
    rounds = sum(sum(m.seconds.values()) for _, m in measured) - reference
    start = f", {duration(reference)} for the reference" if reference else ""
    return f"{duration(rounds / len(measured))} a round{start}"


def _distance_tile(trained: list[tuple[int, Metrics]]) -> Tile:
    goal = trained[-1][1].goal
    title = short_title(goal)
    known = [(r, v) for r, m in trained if (v := m.value(goal)) is not None]
    if not known:
        return Tile(title, "–", "could not be computed")
    best_round, best = min(known, key=lambda pair: pair[1])
    detail = f"from {number(known[0][1])}" if len(known) > 1 else ""
    if best < known[-1][1]:
        detail += f"; best {number(best)} in round {best_round}"
    return Tile(title, number(known[-1][1]), detail)


def _budget(record: RunRecord) -> int | None:
    try:
        planned = int(record.config["rounds"]) * int(record.config["query"]["batch"])
        limit = record.config["stop"]["labels"]
    except (KeyError, TypeError, ValueError):
        return None
    return planned if limit is None else min(int(limit), planned)


SHARES = (
    ("accuracy", "Accuracy of the head"),
    ("probe_accuracy", "Accuracy of the probe"),
    ("agreement", "Class agreement"),
    ("human_error", "Taken for real by people"),
)


BALANCE = (
    ("held_back", "how far held back"),
    ("overfitting", "overfitting"),
    ("accuracy", "accuracy of real against generated"),
)
"""Among a round's losses, where `model.balance` has a knob."""


def curves(record: RunRecord) -> list[tuple[str, str]]:
    """Return (caption, SVG) of distance and of accuracy against labels spent; those without values are left out."""
    metrics, trained = [m for _, m in record.measured], [m for _, m in record.trained]
    if not metrics:
        return []
    labels, goal = [m.labels for m in metrics], metrics[-1].goal
    stop = record.config.get("stop")
    target = stop.get("fid") if isinstance(stop, dict) else None
    distances = _lines(
        trained,
        ((goal, "all images"), (f"{goal}_class_mean", "mean of classes"), (f"{goal}_class_worst", "worst class")),
    )
    shares = _lines(metrics, [(name, title[0].lower() + title[1:]) for name, title in SHARES])
    found = []
    if distances:
        goal_line = float(target) if isinstance(target, int | float) else None
        found.append(
            (
                f"{score_title(goal)}, lower is better",
                distance_curves([m.labels for m in trained], distances, goal_line, trained[-1].value(f"{goal}_floor")),
            )
        )
    if shares:
        found.append(("Accuracy and agreement, higher is better", share_curves(labels, shares)))
    if any("held_back" in m.losses for m in metrics):
        balance = [Line(title, [m.losses.get(name) for m in metrics]) for name, title in BALANCE]
        balance = [line for line in balance if any(v is not None for v in line.values)]
        caption = "Balance: how far the discriminator was held back, and what that held"
        found.append((caption, share_curves(labels, balance, "balance", "Balance")))
    return found


def _lines(metrics: Sequence[Metrics], names: Sequence[tuple[str, str]]) -> list[Line]:
    lines = [Line(title, [m.value(name) for m in metrics]) for name, title in names]
    return [line for line in lines if any(v is not None for v in line.values)]


def time_view(record: RunRecord) -> TimeView | None:
    """Return time by phase, or None before the first commit."""
    measured = [(r, m.seconds) for r, m in record.measured if m.seconds]
    if not measured:
        return None
    extra = sorted({phase for _, seconds in measured for phase in seconds} - set(PHASES))
    totals = {phase: sum(s.get(phase, 0.0) for _, s in measured) for phase in (*PHASES, *extra)}
    whole = sum(totals.values())
    note, drawn = "", list(PHASES)
    if totals["annotate"] > _WAIT_DWARFS * (whole - totals["annotate"]):
        note = f"Annotation took {duration(totals['annotate'])} in all and is left out of the bars."
        drawn.remove("annotate")
    lines = [Line(phase, [seconds.get(phase) for _, seconds in measured]) for phase in drawn]
    shares = tuple((phase, seconds, seconds / whole if whole else 0.0) for phase, seconds in totals.items())
    return TimeView(time_bars([r for r, _ in measured], lines), shares, note)


def class_rows(record: RunRecord, classes: Sequence[str]) -> list[ClassRow]:
    """Return one row a class, in label order; labels outside the classes are named by their number."""
    counts = [(r.round, Counter(row.label for row in r.asked if row.label is not None)) for r in record.rounds]
    strays = {label for _, of_round in counts for label in of_round} - set(range(len(classes)))
    last = record.trained[-1][1] if record.trained else None
    rows = []
    for label in (*range(len(classes)), *sorted(strays)):
        name = class_name(label, classes)
        by_round = tuple((round, of_round[label]) for round, of_round in counts if label in of_round)
        distance = last.value(f"{last.goal}_class", name) if last else None
        agreement = last.value("agreement_class", name) if last else None
        rows.append(ClassRow(name, by_round, distance, agreement))
    return rows


def class_name(label: int, classes: Sequence[str]) -> str:
    """Return the name of a label, or its number where the classes do not hold it."""
    return classes[label] if 0 <= label < len(classes) else f"class {label}"


def warnings(record: RunRecord) -> list[str]:
    """Say what a reader must know before comparing the numbers."""
    found = []
    seen: tuple[int, ScoreLine] | None = None
    for number_, metrics in record.measured:
        line = metrics.score(metrics.goal)
        if line is None or line.hash is None:
            continue
        if seen is not None and (seen[1].name, seen[1].hash) != (line.name, line.hash):
            found.append(
                f"The feature extractor changed between rounds {seen[0]} and {number_} "
                "(its hash differs): distances before and after cannot be compared."
            )
        seen = (number_, line)
    return found


def spread(rounds: Sequence[RoundRecord], most: int) -> list[RoundRecord]:
    """Return at most `most` rounds, evenly spread, the first and the last among them."""
    if len(rounds) <= most:
        return list(rounds)
    return [rounds[round(i * (len(rounds) - 1) / (most - 1))] for i in range(most)]

"""Read a run directory into plain records, whatever state the run is in.

Labels count from the moment they are on disk; metrics and samples count only in committed rounds (design, section 2).
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from distal.data.references import describe_references
from distal.data.tables import describe_growth, read_tables
from distal.errors import RunError
from distal.features.competition import Verdict
from distal.report.private import without_private_seed
from distal.report.rows import REAL
from distal.run.directory import RunDirectory, round_path
from distal.run.files import without_keys
from distal.run.given import joined, read_given
from distal.run.judgements import judged_scores
from distal.run.ledger import Answer, Ledger

PHASES = ("reference", "acquire", "annotate", "train", "evaluate")
_DRAWABLE = 1e15  # what is larger was not measured, and neither axes nor durations take it


@dataclass(frozen=True)
class ScoreLine:
    """Hold one entry of metrics.json's `scores`; value None where it could not be computed, error where unknown."""

    name: str
    value: float | None
    extractor: str | None = None
    hash: str | None = None
    samples: int | None = None
    reference_samples: int | None = None
    class_name: str | None = None
    note: str | None = None
    error: float | None = None


@dataclass(frozen=True)
class Metrics:
    """Hold one committed round's metrics.json; labels, asked, cost and steps count from the start of the run.

    believed: whose class probabilities the next query is chosen by; None where the model's head alone classifies.
    trained: whether the round trained the model, or measured the probe alone. privacy: what private updates have spent.
    """

    labels: int
    asked: int
    cost: float
    steps: int
    goal: str
    scores: tuple[ScoreLine, ...]
    losses: dict[str, float | None]
    seconds: dict[str, float]
    believed: Verdict | None = None
    trained: bool = True
    privacy: dict[str, float] = field(default_factory=dict)

    def score(self, name: str, class_name: str | None = None) -> ScoreLine | None:
        """Return the score of this name, of the whole set or of one class, or None."""
        return next((s for s in self.scores if s.name == name and s.class_name == class_name), None)

    def value(self, name: str, class_name: str | None = None) -> float | None:
        """Return the value of the score of this name, or None where there is none."""
        line = self.score(name, class_name)
        return None if line is None else line.value


@dataclass(frozen=True)
class AskedRow:
    """Hold one row of a query and what became of it: state is labeled, declined or waiting."""

    row_id: int
    score: float
    state: str
    label: int | None = None
    annotator: str | None = None


@dataclass(frozen=True)
class RoundRecord:
    """Hold one round: what was asked, in pick order, and, once committed, what came of it."""

    round: int
    committed: bool
    strategy: str
    asked: tuple[AskedRow, ...]
    metrics: Metrics | None
    has_samples: bool

    def count(self, state: str) -> int:
        """Return the number of rows in a state: labeled, declined or waiting."""
        return sum(row.state == state for row in self.asked)

    @property
    def annotators(self) -> list[str]:
        """Return who answered, the busiest first."""
        return [name for name, _ in Counter(row.annotator for row in self.asked if row.annotator).most_common()]


@dataclass(frozen=True)
class RunRecord:
    """Hold all that a report says of a run. confirmed: labels on disk by class, those that it began with included."""

    name: str
    uri: str
    config: dict[str, Any]
    config_text: str
    rounds: tuple[RoundRecord, ...]
    environment: dict[str, Any] = field(default_factory=dict)
    skipped: tuple[dict[str, Any], ...] = ()
    stopped: dict[str, Any] = field(default_factory=dict)
    has_real: bool = False
    growth: str = ""
    references: str = ""
    confirmed: Mapping[int, int] = field(default_factory=dict)

    @property
    def measured(self) -> list[tuple[int, Metrics]]:
        """Return (round, metrics) of every committed round, in order."""
        return [(r.round, r.metrics) for r in self.rounds if r.metrics is not None]

    @property
    def trained(self) -> list[tuple[int, Metrics]]:
        """Return (round, metrics) of the committed rounds that trained."""
        return [(round, metrics) for round, metrics in self.measured if metrics.trained]

    @property
    def labels(self) -> int:
        """Return the labels on disk, those of a round in progress included."""
        return sum(r.count("labeled") for r in self.rounds)


def collect(run: RunDirectory) -> RunRecord:
    """Read everything but images. Raises RunError where the directory is no run or a file is not what distal writes."""
    if not run.exists():
        raise RunError(f"no run at {run.uri}: it holds no config.yaml\ncheck `storage` and `name`, or start the run")
    text = without_keys(run.read("config.yaml").decode("utf-8", errors="replace"))
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _unreadable(run, "config.yaml", "YAML") from error
    text, config = without_private_seed(text, config if isinstance(config, dict) else {})
    ledger = Ledger(run)
    committed = set(run.committed())
    tables = read_tables(run)
    resolved = config.get("resolved")
    facts = resolved.get("given") if isinstance(resolved, dict) else None
    corrected = {answer.row_id: answer for answer in ledger.corrected()}
    numbers = sorted(int(name) for name in run.list("rounds") if name.isdecimal() and int(name) > 0)
    return RunRecord(
        name=run.name,
        uri=run.uri,
        config=config,
        config_text=text,
        rounds=tuple(_round(run, ledger, number, number in committed, corrected) for number in numbers),
        environment=_json(run, "environment.json", {}),
        skipped=_skipped(run),
        stopped=_json(run, "stopped.json", {}),
        has_real=run.has(REAL),
        growth=describe_growth(tables),
        references=describe_references(run, tables.tables, facts),
        confirmed=Counter(joined(read_given(run, facts), ledger.labels()).labels.tolist()),
    )


def _round(
    run: RunDirectory, ledger: Ledger, number: int, committed: bool, corrected: dict[int, Answer]
) -> RoundRecord:
    query = ledger.read_query(number)
    asked: tuple[AskedRow, ...] = ()
    if query is not None:
        answers = {answer.row_id: corrected.get(answer.row_id, answer) for answer in ledger.answers(number)}
        rows = []
        for row_id, score in zip(query.row_ids.tolist(), query.scores.tolist(), strict=True):
            answer = answers.get(row_id)
            state = "waiting" if answer is None else "declined" if answer.label is None else "labeled"
            rows.append(
                AskedRow(row_id, score, state, answer.label if answer else None, answer.annotator if answer else None)
            )
        asked = tuple(rows)
    return RoundRecord(
        round=number,
        committed=committed,
        strategy=query.strategy if query is not None else "",
        asked=asked,
        metrics=_metrics(run, number) if committed else None,
        has_samples=committed and run.has(round_path(number, "samples.png")),
    )


def _skipped(run: RunDirectory) -> tuple[dict[str, Any], ...]:
    rows = _json(run, "skipped.json", [])
    if not all(isinstance(row, dict) and row.keys() >= {"row_id", "path", "reason"} for row in rows):
        raise _unreadable(run, "skipped.json", "a JSON list of row_id, path and reason")
    return tuple(rows)


def _metrics(run: RunDirectory, number: int) -> Metrics | None:
    path = round_path(number, "metrics.json")
    raw = _json(run, path, None)
    if raw is None:
        return None
    try:
        return Metrics(
            labels=_whole(raw["labels"]),
            asked=_whole(raw["asked"]),
            cost=_amount(raw["cost"]),
            steps=_whole(raw["steps"]),
            goal=str(raw["goal"]),
            scores=tuple(map(_score, [*raw["scores"], *judged_scores(run, number)])),
            losses={str(name): _finite(value) for name, value in raw["losses"].items()},
            seconds={str(phase): _amount(value) for phase, value in raw["seconds"].items()},
            believed=read_verdict(raw.get("classifier")),
            trained=raw.get("trained") is not False,
            privacy={str(name): _amount(value) for name, value in raw.get("privacy", {}).items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _unreadable(run, path, "the metrics of docs/run-directory.md") from error


def read_verdict(raw: Any) -> Verdict | None:
    """Return the entry `classifier` of metrics.json; None where there is none, as in runs of older versions.

    Raises:
        KeyError, TypeError, ValueError or AttributeError: distal did not write it.
    """
    if raw is None:
        return None
    losses, temperatures = (
        {str(name): _amount(value) for name, value in raw[key].items()} for key in ("losses", "temperatures")
    )
    return Verdict(_text(raw["classifier"]), losses, temperatures, _text(raw["reason"]))


def _score(line: dict[str, Any]) -> ScoreLine:
    return ScoreLine(
        name=_text(line["name"]),
        value=_finite(line["value"]),
        extractor=_text_or_none(line.get("extractor")),
        hash=_text_or_none(line.get("hash")),
        samples=_whole_or_none(line.get("samples")),
        reference_samples=_whole_or_none(line.get("reference_samples")),
        class_name=_text_or_none(line.get("class")),
        note=_text_or_none(line.get("note")),
        error=_finite(line.get("error")),
    )


def _finite(value: Any) -> float | None:
    number = float("nan") if value is None else float(value)
    return number if abs(number) < _DRAWABLE else None


def _amount(value: Any) -> float:
    if not 0 <= float(value) < _DRAWABLE:
        raise ValueError(f"{value} is no amount")
    return float(value)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < _DRAWABLE:
        raise ValueError("expected a whole number")
    return value


def _whole_or_none(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _json(run: RunDirectory, path: str, missing: Any) -> Any:
    if not run.has(path):
        return missing
    try:
        content = json.loads(run.read(path))
    except (ValueError, RecursionError) as error:
        raise _unreadable(run, path, "JSON") from error
    if missing is not None and not isinstance(content, type(missing)):
        raise _unreadable(run, path, f"a JSON {'object' if isinstance(missing, dict) else 'list'}")
    return content


def _unreadable(run: RunDirectory, path: str, expected: str) -> RunError:
    return RunError(f"{path} of {run.uri} is not {expected}\nrestore the file from a copy, or move it away")

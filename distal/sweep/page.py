"""Turn the results of a sweep into what its page shows: sentences, tiles, rows. No file is touched here."""

import math
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from distal.metrics.comparison import over_seeds
from distal.metrics.registry import is_share
from distal.report.page import Tile
from distal.report.wording import count, duration, number, percent
from distal.run.files import without_keys
from distal.sweep.results import Candidate, Results
from distal.sweep.series import valued
from distal.sweep.space import Dimension, Range, parse_space
from distal.sweep.trials import State, Trial
from distal.sweep.wording import NOT_SET, metric_title, score, shown

STATES: tuple[State, ...] = ("finished", "stopped", "failed", "unfinished")


@dataclass(frozen=True)
class Row:
    """Hold one point of the ranking as shown: its place, values in the order of the keys, and what came out."""

    place: int
    values: tuple[str, ...]
    seeds: int
    mean: str
    range: str
    rounds: str
    state: str


def title(results: Results) -> str:
    """Return the name in words of the score that the sweep compares."""
    return metric_title(results.sweep.metric, results.base.evaluate.extractor)


def brief_title(results: Results) -> str:
    """Return the name of the score without its extractor, for places that are narrow."""
    return re.sub(r" \([^)]*\)", "", title(results))


def ranked(results: Results) -> list[Candidate]:
    """Return the points that have a finite objective, the best first."""
    return [c for c in results.ranking if len(valued(c.trials)) == len(c.trials)]


def objectives(candidate: Candidate) -> list[float]:
    """Return the objective of each of a point's trials, ascending."""
    return sorted(trial.last.objective for trial in candidate.trials if trial.last is not None)


def by_rank(results: Results) -> list[Trial]:
    """Return the trials that have a value and did not fail: in the order of their points, then of their objective."""
    sign = 1.0 if results.mode == "min" else -1.0
    places = {trial.name: place for place, c in enumerate(ranked(results)) for trial in c.trials}
    trials = [trial for trial in valued(results.trials) if trial.state != "failed"]
    return sorted(trials, key=lambda t: (places.get(t.name, len(places)), sign * t.last.objective if t.last else 0.0))


def lead(results: Results) -> str:
    """Say which point is best, by how much, and whether its seeds carry that."""
    points = ranked(results)
    if not results.trials:
        return "No trial has begun yet."
    if not points:
        states = Counter(trial.state for trial in results.trials)
        said = ", ".join(f"{states[state]} {state}" for state in STATES if states[state])
        whole = count(len(results.trials), "trial")
        return f"No point has a value of {title(results)} to be ranked by: of {whole}, {said}."
    best = points[0]
    value = score(results.sweep.metric, best.objective)
    over = _over_seeds(best)
    if best.finished:
        first = f"Best is {best}: {title(results)} {value}{over}"
    else:
        first = (
            f"No point has come to its end. In front is {best}: {title(results)} {value}{over} after {_rounds(best)}"
        )
    if len(points) == 1:
        return f"{first}. No other point has a value to compare it with."
    return f"{first}{_next(results, best, points[1])}"


def _next(results: Results, best: Candidate, second: Candidate) -> str:
    value = score(results.sweep.metric, second.objective)
    if best.finished and not second.finished:
        return f". No other point came to its end; the next, {second}, stood at {value} after {_rounds(second)}."
    gap = f"{_gap(results, best.objective, second.objective)} the next, {second} ({value}{_over_seeds(second)})."
    if min(len(best.trials), len(second.trials)) < 2:
        return f", {gap} One seed cannot tell a better point from a lucky one."
    return f", {gap} {_over_the_seeds(results, best, second)}"


def _over_the_seeds(results: Results, best: Candidate, second: Candidate) -> str:
    """Say whether the seeds that both points were tried under tell them apart, and how many would."""
    ours, theirs = ({t.seed: t.last.objective for t in c.trials if t.last is not None} for c in (best, second))
    both = sorted(ours.keys() & theirs.keys())
    if len(both) < 2:
        return "They share fewer than two seeds, which do not tell them apart."
    a, b = ([values[seed] for seed in both] for values in (ours, theirs))
    in_proportion = results.mode == "min" and min(*a, *b) > 0  # a distance's noise is
    found = over_seeds([*map(math.log, b)], [*map(math.log, a)]) if in_proportion else over_seeds(b, a)
    low, high = found.difference.low, found.difference.high
    if in_proportion:
        interval = f"95% interval of their ratio {number(math.exp(-high), 2)} to {number(math.exp(-low), 2)}"
    else:
        scale, unit = (100, " percentage points") if is_share(results.sweep.metric) else (1, "")
        ends = (low, high) if results.mode == "min" else (-high, -low)
        interval = f"95% interval of the gap {number(scale * ends[0], 2)} to {number(scale * ends[1], 2)}{unit}"
    if found.apart:
        return f"Over {len(both)} seeds, in pairs, the two are told apart: {interval}."
    more = (
        "" if found.needed is None else f"; were it so, it takes about {max(found.needed, len(both) + 1)} seeds to tell"
    )
    return f"Over {len(both)} seeds, in pairs, that may be chance ({interval}){more}."


def _gap(results: Results, first: float, second: float) -> str:
    if is_share(results.sweep.metric):
        return f"{number(100 * abs(first - second), 2)} percentage points above"
    if first == second:
        return "level with"
    if min(first, second) <= 0:
        return f"{number(abs(first - second), 3)} below"
    return f"{percent(1 - first / second)} below"


def _over_seeds(candidate: Candidate) -> str:
    return "" if len(candidate.trials) == 1 else f", mean of {len(candidate.trials)} seeds"


def _range(results: Results, candidate: Candidate) -> str:
    values = objectives(candidate)
    return f"{score(results.sweep.metric, values[0])} to {score(results.sweep.metric, values[-1])}"


def _rounds(candidate: Candidate) -> str:
    done = sorted({len(trial.curve) for trial in candidate.trials})
    return count(done[0], "round") if len(done) == 1 else f"{done[0]} to {done[-1]} rounds"


def status(results: Results) -> tuple[str, str]:
    """Return (ended or open, sentence)."""
    left = sum(trial.state == "unfinished" for trial in results.trials)
    if not results.trials:
        return "open", "Not started"
    return ("open", f"{count(left, 'trial')} unfinished") if left else ("ended", "Every trial that was begun has ended")


def warnings(results: Results) -> list[str]:
    """Say what a reader must know before comparing the points."""
    found = []
    failed = sum(trial.state == "failed" for trial in results.trials)
    if failed:
        found.append(f"{count(failed, 'trial')} failed: a point with a failed trial is not ranked.")
    points = ranked(results)
    seeds = len(results.sweep.seeds)
    if points and len(points[0].trials) < seeds:
        found.append(f"The best point was tried under {len(points[0].trials)} of {seeds} seeds so far.")
    return found


def tiles(results: Results) -> list[Tile]:
    """Return the numbers of the headline."""
    states = Counter(trial.state for trial in results.trials)
    points = ranked(results)
    distinct = len({tuple(sorted((k, shown(v)) for k, v in trial.point.items())) for trial in results.trials})
    found = []
    if points:
        best = points[0]
        detail = _range(results, best) if len(best.trials) > 1 else "one seed"
        found.append(Tile(f"Best {brief_title(results)}", score(results.sweep.metric, best.objective), detail))
    found.append(Tile("Trials", f"{len(results.trials):,}", f"{count(distinct, 'point')} tried"))
    details: dict[State, str] = {
        "finished": "ran to their end",
        "stopped": "given up early",
        "failed": "",
        "unfinished": "not ended",
    }
    for state in STATES:
        if states[state] or state != "unfinished":
            found.append(Tile(state.capitalize(), f"{states[state]:,}", details[state] if states[state] else ""))
    spent = sum(trial.seconds for trial in results.trials)
    found.append(Tile("Compute spent", duration(spent), "summed over trials"))
    if results.sweep.early_stop.scheduler == "none":
        found.append(Tile("Compute saved", "–", "early stopping is off"))
    elif not spent:
        found.append(Tile("Compute saved", "–"))
    else:
        found.append(Tile("Compute saved", percent(results.saved), "by early stopping"))
    return found


def ranking_rows(results: Results) -> list[Row]:
    """Return one row a ranked point, the best first."""
    keys = parse_space(results.sweep.space).keys
    rows = []
    for place, candidate in enumerate(ranked(results), 1):
        done = sorted({len(trial.curve) for trial in candidate.trials})
        states = Counter(trial.state for trial in candidate.trials)
        rows.append(
            Row(
                place,
                tuple(shown(candidate.point[key]) if key in candidate.point else NOT_SET for key in keys),
                len(candidate.trials),
                score(results.sweep.metric, candidate.objective),
                _range(results, candidate) if len(candidate.trials) > 1 else "–",
                str(done[0]) if len(done) == 1 else f"{done[0]} to {done[-1]}",
                ", ".join(s if len(states) == 1 else f"{states[s]} {s}" for s in STATES if states[s]),
            )
        )
    return rows


def best_values(results: Results) -> str:
    """Return the best point as YAML, each number in full; empty where there is none."""
    points = ranked(results)
    return yaml.safe_dump(points[0].point, sort_keys=False, allow_unicode=True, width=100) if points else ""


def run_command(results: Results) -> str:
    """Return the command that runs the best configuration, which must lie in a local file."""
    local = results.directory.local
    return f"distal run {shlex.quote(str(local / 'best.yaml'))}" if local is not None else "distal run best.yaml"


def settings(results: Results) -> list[tuple[str, str]]:
    """Return what the sweep was told, as (name, value)."""
    sweep, stop, path = results.sweep, results.sweep.early_stop, results.base.pool.path
    limits = {
        "asha": f"grace {stop.grace}, reduction {stop.reduction}",
        "hyperband": f"grace {stop.grace}, reduction {stop.reduction}",
        "median": f"grace {stop.grace}",
        "pbt": f"interval {stop.interval}, quantile {number(stop.quantile)}",
    }
    parts = [stop.scheduler, limits.get(stop.scheduler, "")]
    drawn = "" if sweep.searcher == "grid" else f", {sweep.trials} points, search seed {sweep.seed}"
    rows = [
        ("metric", f"{sweep.metric}: {title(results)}, {'less' if results.mode == 'min' else 'more'} is better"),
        ("objective", f"exponential mean over rounds, weight {number(stop.smoothing)} for those before"),
        ("scheduler", ", ".join(filter(None, parts))),
        ("searcher", f"{sweep.searcher}{drawn}"),
        ("seeds", ", ".join(map(str, sweep.seeds))),
        ("rounds of a trial", str(results.base.rounds)),
        ("pool", without_keys(", ".join([path] if isinstance(path, str) else path))),
    ]
    return [*rows, ("time limit", f"{number(sweep.hours)} h")] if sweep.hours is not None else rows


def space_rows(results: Results) -> list[tuple[str, str, str, str]]:
    """Return one row a searched key: (key, kind, values, condition)."""
    return [(d.key, *_described(d), _condition(d)) for d in parse_space(results.sweep.space).dimensions]


def _described(dimension: Dimension) -> tuple[str, str]:
    if isinstance(dimension, Range):
        step = f" in steps of {shown(dimension.step)}" if dimension.kind == "quniform" else ""
        return dimension.kind, f"{shown(dimension.low)} to {shown(dimension.high)}{step}"
    return "grid" if dimension.every else "choice", _listed(dimension.values)


def _condition(dimension: Dimension) -> str:
    return "" if dimension.when is None else f"only where {dimension.when.key} is {_listed(dimension.when.values)}"


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(shown(value) for value in values)

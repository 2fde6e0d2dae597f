"""Make the results of a sweep in memory: made-up smooth curves, stopped where a scheduler would, nothing is trained."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distal.config import Config
from distal.run.directory import RunDirectory
from distal.sweep.config import SweepConfig
from distal.sweep.results import Results
from distal.sweep.space import Point, parse_space
from distal.sweep.trials import RoundPoint, State, Trial, trial_name

SPACE: dict[str, Any] = {
    "query.strategy": {"choice": ["badge", "margin", "random"]},
    "model.learning_rate_g": {"loguniform": [1e-4, 1e-2]},
    "train.steps": {"randint": [50, 400]},
    "train.augment": {"choice": [[], ["shift", "cutout"]]},
    "query.candidates": {"quniform": [2, 8, 2], "when": {"query.strategy": "badge"}},
}
ROUNDS = 6
BATCH = 20


def curve(start: float, end: float, rounds: int, seconds: float = 30.0, mode: str = "min") -> tuple[RoundPoint, ...]:
    """Return rounds whose value goes from start towards end, halving the rest each round."""
    points = []
    for number in range(1, rounds + 1):
        value = end + (start - end) * 0.5 ** (number - 1)
        points.append(RoundPoint(number, BATCH * number, seconds * number, value, value, {}))
    return tuple(points)


def trial(
    point: Point, end: float, seed: int = 0, state: State = "finished", rounds: int = ROUNDS, **options: Any
) -> Trial:
    """Return one trial whose last objective is near `end`."""
    reasons = {"finished": "all rounds done", "failed": "out of memory"}
    reason = options.pop("reason", reasons.get(state, "given up at a rung"))
    start = options.pop("start", 40 * abs(end))
    made = curve(start, end, rounds, **options)
    return Trial(trial_name(point, seed), point, seed, state, reason, made)


def results_of(
    trials: Sequence[Trial], folder: Path, space: Mapping[str, Any] = SPACE, base: Mapping[str, Any] = {}, **sweep: Any
) -> Results:
    """Return results that lie in a folder."""
    config = SweepConfig(name="digits", storage=str(folder), space=dict(space), **sweep)
    runs = Config(**({"rounds": ROUNDS, "pool": {"path": "digits.parquet"}} | dict(base)))  # type: ignore[arg-type]
    return Results(config, runs, list(trials), RunDirectory.open(str(folder), "digits"))


def distance_at(point: Point, seed: int) -> float:
    """Return a made-up distance: mostly of the rate, somewhat of the strategy, a little of chance."""
    rate = math.log10(point["model.learning_rate_g"])
    strategy = {"badge": 0.0, "margin": 0.15}.get(point["query.strategy"], 0.5)
    noise = 0.08 * np.random.default_rng([seed, int(1e7 * point["model.learning_rate_g"])]).standard_normal()
    return float(math.exp(1.0 + 0.9 * (rate + 3.0) ** 2 + strategy + noise))


def asha(
    folder: Path, points: int = 24, seeds: Sequence[int] = (0,), failed: int = 0, unfinished: int = 0, **options: Any
) -> Results:
    """Return a sweep of which the better third went on past rounds 2 and 4."""
    space = options.pop("space", SPACE)
    drawn = parse_space(space).draw(0, points)
    ends = {i: distance_at(point, 0) for i, point in enumerate(drawn)}
    order = sorted(ends, key=lambda i: ends[i])
    trials = []
    for i, point in enumerate(drawn):
        share = order.index(i) / len(drawn)
        rounds = ROUNDS if share < 0.34 else 4 if share < 0.6 else 2
        state: State = "finished" if rounds == ROUNDS else "stopped"
        if i < failed:
            state, rounds = "failed", min(rounds, 2)
        elif i < failed + unfinished:
            state, rounds = "unfinished", min(rounds, 2)
        cost = 20.0 + point["train.steps"] / 10
        trials += [trial(point, distance_at(point, seed), seed, state, rounds, seconds=cost) for seed in seeds]
    return results_of(trials, folder, space, seeds=list(seeds), **options)

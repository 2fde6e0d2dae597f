"""Build Tune's searcher and scheduler from a sweep's configuration: where to look, and what to give up."""

from collections.abc import Callable, Sequence
from typing import Any

from ray import tune
from ray.tune.schedulers import (
    FIFOScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    MedianStoppingRule,
    TrialScheduler,
)
from ray.tune.search import Searcher

from distal.config import Config
from distal.sweep.config import SweepConfig
from distal.sweep.halving import SuccessiveHalving
from distal.sweep.population import Population
from distal.sweep.space import Choice, Point, Range, Space

PREFIX = "point/"
"""Tune nests a name with slashes: so a searcher's values come in the trial's configuration under `point`."""


def make_scheduler(sweep: SweepConfig, base: Config, space: Space, mode: str) -> TrialScheduler:
    """Return what decides after each round whether a trial goes on; all count in labels asked, not in time."""
    stop, batch = sweep.early_stop, base.query.batch
    grace = stop.grace * batch
    if stop.scheduler == "asha":
        return SuccessiveHalving(grace, stop.reduction, stop.keep, mode)
    if stop.scheduler == "hyperband":
        kind = HyperBandForBOHB if sweep.searcher == "bohb" else HyperBandScheduler
        # HyperBand's unit of time is its smallest budget, so it counts in units of the grace. Those that a bracket
        # selects run to their end: stopped at its last rung they would stand behind brackets that select nobody.
        whole = max(1, base.label_budget // grace)
        common = {"metric": "objective", "mode": mode, "max_t": whole, "reduction_factor": stop.reduction}
        return kind(time_attr="graces", stop_last_trials=False, **common)
    if stop.scheduler == "median":
        return MedianStoppingRule(
            time_attr="asked", metric="objective", mode=mode, grace_period=grace, min_samples_required=3
        )
    if stop.scheduler == "pbt":
        domains = {dimension.key: _domain(dimension) for dimension in space.dimensions}
        return Population(space, domains, stop.interval * batch, grace, stop.quantile, mode)
    return FIFOScheduler()


def make_searcher(sweep: SweepConfig, space: Space, mode: str, known: Sequence[Point]) -> Searcher | None:
    """Return what chooses the points: None where they are all drawn beforehand.

    known: points that an interrupted sweep has begun; they are asked for first, and answer at once from their files.
    """
    first = [{PREFIX + key: value for key, value in point.items()} for point in known]
    if sweep.searcher == "optuna":
        import optuna
        from optuna.samplers import TPESampler
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = TPESampler(seed=sweep.seed + len(known))  # the old seed would draw the known points again
        return OptunaSearch(_Suggest(space), metric="objective", mode=mode, sampler=sampler, points_to_evaluate=first)
    if sweep.searcher == "bohb":
        from ray.tune.search.bohb import TuneBOHB

        return TuneBOHB(
            _configuration_space(space, sweep.seed), metric="objective", mode=mode, points_to_evaluate=first
        )
    return None


def _domain(dimension: Choice | Range) -> Any:
    if isinstance(dimension, Choice):
        return list(dimension.values)
    low, high = dimension.low, dimension.high
    kinds: dict[str, Callable[[], Any]] = {
        "uniform": lambda: tune.uniform(low, high),
        "loguniform": lambda: tune.loguniform(low, high),
        "quniform": lambda: tune.quniform(low, high, dimension.step),
        "randint": lambda: tune.randint(int(low), int(high)),
    }
    return kinds[dimension.kind]()


class _Suggest:
    """Be Optuna's define-by-run function, in which conditions are plain ifs; an object, because Tune pickles it."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def __call__(self, trial: Any) -> None:
        point: Point = {}
        for d in self._space.dimensions:
            if d.when is not None and not d.when.holds(point):
                continue
            name = PREFIX + d.key
            if isinstance(d, Choice):
                point[d.key] = trial.suggest_categorical(name, list(d.values))
            elif d.kind == "randint":
                point[d.key] = trial.suggest_int(name, int(d.low), int(d.high) - 1)
            else:
                step = d.step if d.kind == "quniform" else None
                point[d.key] = trial.suggest_float(name, d.low, d.high, step=step, log=d.kind == "loguniform")


def _configuration_space(space: Space, seed: int) -> Any:
    import ConfigSpace

    made: dict[str, Any] = {}
    built = ConfigSpace.ConfigurationSpace(seed=seed)
    for d in space.dimensions:
        name = PREFIX + d.key
        if isinstance(d, Choice):
            made[d.key] = ConfigSpace.CategoricalHyperparameter(name, list(d.values))
        elif d.kind == "randint":
            made[d.key] = ConfigSpace.UniformIntegerHyperparameter(name, int(d.low), int(d.high) - 1)
        else:
            made[d.key] = ConfigSpace.UniformFloatHyperparameter(name, d.low, d.high, log=d.kind == "loguniform")
        built.add(made[d.key])
        if d.when is not None:
            built.add(ConfigSpace.InCondition(made[d.key], made[d.when.key], list(d.when.values)))
    return built

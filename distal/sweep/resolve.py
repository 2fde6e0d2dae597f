"""Check a sweep before anything starts: every key, every value, every point, and what can work with what."""

import importlib.util
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from distal.config import Config
from distal.config.explain import explain, nearest_key
from distal.errors import ConfigError, RunError
from distal.resolve import flatten, make_config, read_config, with_values
from distal.run.directory import RunDirectory
from distal.sweep.config import SweepConfig
from distal.sweep.objective import direction
from distal.sweep.space import LATE, Choice, Point, Range, Space, parse_space
from distal.tree import NOT_YAML, apply_override, place_value, read_yaml
from distal.version import __version__

SWEEP = "sweep.yaml"
PROBES = 64
"""Points drawn to check a space whose points a searcher will choose."""

NOT_SEARCHED = {
    "name": "the sweep names its trials itself",
    "storage": "the trials lie in the sweep's folder",
    "address": "the trials run where the sweep does; set the sweep's address",
    "seed": "give the sweep a list of seeds",
    "rounds": "trials are compared at equal labels; set base.rounds",
    "query.batch": "trials are compared at equal labels; set base.query.batch, or make one sweep each",
    "query.references": "trials are compared from one beginning; set base.query.references",
    "stop.": "trials are compared at equal labels; the sweep's early_stop gives them up",
    "pool.": "another pool or decoding makes distances incomparable; make one sweep each",
    "evaluate.": "another evaluation makes distances incomparable; make one sweep each",
    "train.workers": "set the sweep's resources.workers",
    "train.min_workers": "a trial begins when there is a place for all of it; set the sweep's resources.workers",
    "train.threads": "set the sweep's resources.cpus",
    "train.cpus_per_worker": "set the sweep's resources.cpus_per_worker",
    "train.gpus_per_worker": "set the sweep's resources.gpus_per_worker",
}
"""Keys, or beginnings of keys, that a space may not hold, and what to do instead."""

INSTALL = {"optuna": "optuna", "bohb": "hpbandster ConfigSpace", "mlflow": "mlflow-skinny", "wandb": "wandb"}
MODULES = {"optuna": ("optuna",), "bohb": ("hpbandster", "ConfigSpace"), "mlflow": ("mlflow",), "wandb": ("wandb",)}


def read_sweep(path: str | Path | None, overrides: Iterable[str] = ()) -> SweepConfig:
    """Read a sweep's YAML file, apply ``key.sub=value`` overrides, and check its own keys.

    A base that is a file's name is read here, relative to the sweep's file, so that the sweep is complete in itself.
    Keys of the space have dots: an override reaches them as ``space={...}`` only.

    Raises:
        ConfigError: a file or override is unreadable, a key is unknown, a value is refused.
    """
    tree = {} if path is None else read_yaml(Path(path))
    tree.pop("resolved", None)
    folder = Path(".") if path is None else Path(path).parent
    overrides = list(overrides)
    _read_base(tree, folder)
    for override in overrides:
        apply_override(tree, override, SweepConfig)
        _read_base(tree, Path("."))
    return make_sweep(tree)


def make_sweep(tree: Mapping[str, Any]) -> SweepConfig:
    """Check a tree of plain values and build the sweep's configuration from it.

    Raises:
        ConfigError: naming the first wrong key, what was given and what is allowed.
    """
    try:
        return SweepConfig.model_validate(dict(tree))
    except ValidationError as error:
        raise ConfigError(explain(error, SweepConfig)) from None


def check_sweep(sweep: SweepConfig) -> tuple[Config, Space, list[Point]]:
    """Check all that can be wrong with a sweep before it starts.

    Returns:
        The base configuration, the space, and the points to try: empty where a searcher will choose them.

    Raises:
        ConfigError: an unknown key, a value that the key refuses, an empty choice, parts that do not fit together.
    """
    base = _base(sweep)
    direction(sweep.metric, sweep.mode, base.evaluate)
    space = parse_space(sweep.space)
    for dimension in space.dimensions:
        _check_dimension(base, dimension)
    _check_parts(sweep, base, space)
    chosen_later = sweep.searcher in ("optuna", "bohb")
    points = (
        space.grid() if sweep.searcher == "grid" else space.draw(sweep.seed, PROBES if chosen_later else sweep.trials)
    )
    for point in points:
        check_point(base, point)
    return base, space, [] if chosen_later else points


def check_point(base: Config, point: Point) -> Config:
    """Return the configuration of a trial at this point.

    Raises:
        ConfigError: the values do not go together.
    """
    try:
        return make_config(with_values(base, point))
    except ConfigError as error:
        shown = ", ".join(f"{key}={value}" for key, value in point.items())
        raise ConfigError(f"space: the point {shown} is refused:\n{error}") from None


def print_sweep(sweep: SweepConfig, base: Config) -> str:
    """Write the sweep as YAML that `read_sweep` reads back, with its base complete and the version of distal."""
    tree = sweep.model_dump(mode="json") | {"base": base.model_dump(mode="json")}
    return yaml.safe_dump(tree | {"resolved": {"distal": __version__}}, sort_keys=False, allow_unicode=True)


def read_saved_sweep(directory: RunDirectory) -> tuple[SweepConfig, Config]:
    """Read a sweep's sweep.yaml back.

    Raises:
        RunError: there is no sweep here, or its sweep.yaml is not one of ours.
    """
    if not directory.has(SWEEP):
        raise RunError(f"{directory.uri}: there is no sweep here (no {SWEEP}).\nGive <storage>/<name> of a sweep.")
    try:
        tree = dict(yaml.safe_load(directory.read(SWEEP)))
        tree.pop("resolved", None)
        sweep = make_sweep(tree)
        return sweep, _base(sweep)
    except (*NOT_YAML, TypeError, ConfigError) as error:
        reason = " ".join(str(error).split())[:150]
        raise RunError(f"{directory.place(SWEEP)} is damaged: {reason}\nRestore the file from a copy.") from None


def _read_base(tree: dict[str, Any], folder: Path) -> None:
    if isinstance(tree.get("base"), str):
        file = Path(tree["base"]).expanduser()
        tree["base"] = read_config(file if file.is_absolute() else folder / file).model_dump(mode="json")


def _base(sweep: SweepConfig) -> Config:
    base = read_config(sweep.base) if isinstance(sweep.base, str) else None
    try:
        base = base or make_config(sweep.base)  # type: ignore[arg-type]
    except ConfigError as error:
        raise ConfigError(f"base.{error}") from None
    if base.oracle.kind != "dataset":
        raise ConfigError(
            f"base.oracle.kind: '{base.oracle.kind}' cannot answer many trials that nobody watches.\n"
            "Sweep over images whose labels are known (oracle.kind=dataset), then label with the configuration found."
        )
    return base


def _check_dimension(base: Config, dimension: Choice | Range) -> None:
    key = dimension.key
    for name, instead in NOT_SEARCHED.items():
        if key == name or (name.endswith(".") and key.startswith(name)):
            raise ConfigError(f"space.{key}: this key is not searched: {instead}.")
    within = [name for name in flatten(base) if name.startswith(f"{key}.")]
    if within:
        raise ConfigError(f"space.{key}: this is a section.\nSearch one of its keys, such as {within[0]}.")
    ends = [dimension.low, dimension.clip(dimension.high)] if isinstance(dimension, Range) else dimension.values
    for value in ends:
        tree = base.model_dump(mode="json")
        try:
            place_value(tree, key, dimension.clip(value) if isinstance(dimension, Range) else value)
            make_config(tree)
        except ConfigError as error:
            text = str(error)
            if "unknown key" in text.partition("\n")[0]:
                near = nearest_key(key)
                hint = f"; did you mean '{near}'?" if near else "."
                text = f"{key}: unknown key{hint}\n`distal config` prints all keys."
            raise ConfigError(f"space.{text}") from None


def _check_parts(sweep: SweepConfig, base: Config, space: Space) -> None:
    """Refuse searchers, schedulers and loggers that cannot do what the sweep asks of them."""
    searcher, stop = sweep.searcher, sweep.early_stop
    if searcher == "grid" and space.has_ranges:
        ranges = [d.key for d in space.dimensions if isinstance(d, Range)]
        raise ConfigError(
            f"searcher: 'grid' cannot try all of a range: {', '.join(ranges)}.\nGive choices, or searcher: random."
        )
    if searcher in ("optuna", "bohb"):
        _check_learned_search(sweep, space)
    if len(set(sweep.seeds)) < len(sweep.seeds):
        raise ConfigError(f"seeds: a seed stands there twice: {sweep.seeds}\nGive each seed once.")
    if stop.scheduler in ("asha", "hyperband", "median"):
        _check_grace(stop.grace, base.rounds, space)
    if stop.scheduler in ("pbt", "hyperband") and sweep.concurrency is not None:
        raise ConfigError(
            f"concurrency: '{stop.scheduler}' pauses trials to compare them, as many as the cluster holds at a time.\n"
            "Leave concurrency out; resources.cpus says how many that are."
        )
    if sweep.address is not None and sweep.address.startswith("ray://"):
        raise ConfigError(
            f"address: a sweep runs beside its cluster, not through Ray's client ({sweep.address}).\n"
            "Start it on the head node with address=auto."
        )
    if stop.scheduler == "pbt":
        _check_population(sweep, base, space)
    for name in (searcher, *sweep.loggers):
        missing = [module for module in MODULES.get(name, ()) if importlib.util.find_spec(module) is None]
        if missing:
            raise ConfigError(
                f"'{name}' needs {' and '.join(missing)}, not installed here.\nRun: pip install {INSTALL[name]}"
            )
    if "mlflow" in sweep.loggers and not os.environ.get("MLFLOW_TRACKING_URI"):
        raise ConfigError("loggers: mlflow is told where to write by the environment.\nSet MLFLOW_TRACKING_URI.")


def _check_grace(grace: int, rounds: int, space: Space) -> None:
    if grace < space.tells_from:
        raise ConfigError(
            f"early_stop.grace: trials that differ in {', '.join(set(LATE) & set(space.keys))} are the same run until "
            f"round {space.tells_from}, so none may be stopped after round {grace}.\n"
            f"Set early_stop.grace={space.tells_from} or more, or early_stop.scheduler=none."
        )
    if grace >= rounds:
        raise ConfigError(
            f"early_stop.grace: {grace} rounds of {rounds} leave nothing to stop.\n"
            "Raise base.rounds, lower early_stop.grace, or set early_stop.scheduler=none."
        )


def _check_learned_search(sweep: SweepConfig, space: Space) -> None:
    searcher = sweep.searcher
    grids = [d.key for d in space.dimensions if isinstance(d, Choice) and d.every]
    if grids:
        raise ConfigError(
            f"searcher: '{searcher}' chooses where to look; it cannot try all of {', '.join(grids)}.\nMake it a choice."
        )
    if not space.has_ranges:
        raise ConfigError(
            f"searcher: '{searcher}' learns over ranges of numbers, and there is none.\nTake searcher: grid or random."
        )
    if len(sweep.seeds) > 1:
        raise ConfigError(
            f"seeds: '{searcher}' learns from single trials; {len(sweep.seeds)} seeds are given.\n"
            "Give one, then try the best points under more of them with searcher: grid."
        )
    if searcher == "bohb" and sweep.early_stop.scheduler != "hyperband":
        raise ConfigError(
            f"early_stop.scheduler: 'bohb' learns from hyperband's rungs, not from '{sweep.early_stop.scheduler}'.\n"
            "Set early_stop.scheduler=hyperband, or searcher=optuna."
        )
    stepped = [d.key for d in space.dimensions if isinstance(d, Range) and d.kind == "quniform"]
    if searcher == "bohb" and stepped:
        raise ConfigError(f"space.{stepped[0]}: 'bohb' knows no steps.\nGive uniform or randint, or searcher: optuna.")


def _check_population(sweep: SweepConfig, base: Config, space: Space) -> None:
    stop = sweep.early_stop
    own = ("train.", "model.")
    # A checkpoint of one is none of another.
    fixed = ("model.kind", "train.optimizer", "model.members", "model.member.kind", "model.how")
    fits = [d.key.startswith(own) and d.key not in fixed and d.when is None for d in space.dimensions]
    foreign = [d.key for d, fit in zip(space.dimensions, fits, strict=True) if not fit]
    if sweep.searcher != "random" or len(sweep.seeds) > 1:
        raise ConfigError("early_stop.scheduler: 'pbt' grows one population; take searcher: random and one seed.")
    if foreign:
        raise ConfigError(
            f"space.{foreign[0]}: 'pbt' changes values within a run; that goes for keys under train. and\n"
            "model. alone, without 'when'. Search the others with asha."
        )
    if stop.interval >= base.rounds:
        raise ConfigError(
            f"early_stop.interval: {stop.interval} rounds of {base.rounds} leave no exchange.\n"
            "Lower it, or raise base.rounds."
        )
    if int(sweep.trials * stop.quantile) < 1:
        raise ConfigError(
            f"trials: a population of {sweep.trials} has no {stop.quantile:.0%} that could take over.\n"
            "Raise trials or early_stop.quantile."
        )

"""Run a sweep: check it, prepare what its trials share, hand them to Tune, and read what they left behind."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune as ray_tune
from ray.tune import Callback, FailureConfig, PlacementGroupFactory, RunConfig, Stopper, TuneConfig
from ray.tune.logger import TBXLoggerCallback

from distal.cluster import cluster
from distal.communicator import Alone
from distal.config import Config
from distal.data.chunks import Skipped
from distal.errors import ClusterError, RunError, StorageError
from distal.metrics import Evaluator
from distal.resolve import differing_keys, make_config, with_values
from distal.rounds import EVALUATION_CACHE
from distal.rundir import RunDirectory
from distal.setup import Opened
from distal.sweep.config import SweepConfig
from distal.sweep.lineage import current_runs, generations
from distal.sweep.objective import direction
from distal.sweep.placement import trial_bundles, trials_at_a_time
from distal.sweep.report import write_sweep_report
from distal.sweep.resolve import SWEEP, check_sweep, make_sweep, print_sweep, read_saved_sweep
from distal.sweep.results import Results
from distal.sweep.search import make_scheduler, make_searcher
from distal.sweep.space import Point, Space
from distal.sweep.trial import SweepTrial, TrialJob
from distal.sweep.trials import ENDED, TRIAL, TRIALS, read_note, write_note

logger = logging.getLogger(__name__)

LOST_TRIALS = 8
"""How often a trial is begun again whose process or node died; its own errors are not tried again."""

MAY_CHANGE = ("address", "trials", "concurrency", "resources.", "hours", "loggers")
"""Keys that may change when a sweep is taken up again."""

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # what they write is in results.parquet and curves.parquet
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True)
class Progress:
    """State one fact of a sweep: a trial's round, or its end.

    trial, point, seed: which. state: running, stopped, finished or failed. round, asked, value: its last round.
    seconds: its compute so far. ended, trials: trials that have ended, and trials in all. reason: why it failed.
    """

    trial: str
    point: Point
    seed: int
    state: str
    round: int
    asked: int
    value: float | None
    seconds: float
    ended: int
    trials: int
    reason: str = ""


Watcher = Callable[[Progress], None]


def watch_nothing(progress: Progress) -> None:
    """Watch nothing."""


def tune(
    space: Mapping[str, Any] | None = None,
    base: Config | Mapping[str, Any] | str | Path | None = None,
    *,
    resume: bool = False,
    watch: Watcher = watch_nothing,
    **settings: Any,
) -> Results:
    """Search the space with whole runs of the base configuration, and return what came of it.

    Args:
        space: searched keys, as ``{"train.regularizers.r1": {"loguniform": [0.01, 1.0]}}``; a list is a choice.
        base: configuration of the runs: a Config, a mapping, a YAML file, or None for the defaults.
        resume: take up a sweep that was interrupted. watch: hears of each round.
        settings: other keys of `SweepConfig`, such as ``trials=20, seeds=[0, 1], concurrency=4``.

    Raises:
        ConfigError, ClusterError: whatever is wrong, before any trial starts. RunError: the sweep's folder holds
            another one. StorageError: it cannot be written; what was done is kept.
    """
    tree = dict(settings)
    if space is not None:
        tree["space"] = dict(space)
    if base is not None:
        tree["base"] = base.model_dump(mode="json") if isinstance(base, Config) else _plain(base)
    return run_sweep(make_sweep(tree), resume=resume, watch=watch)


def run_sweep(sweep: SweepConfig, *, resume: bool = False, watch: Watcher = watch_nothing) -> Results:
    """Run a checked sweep; see `tune`."""
    base, space, points = check_sweep(sweep)
    directory = RunDirectory.open(sweep.storage, sweep.name)
    with directory.lock("driver"):
        _compare(directory, sweep, base, resume)
        with cluster(sweep.address):
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
            trials = max(1, len(points) * len(sweep.seeds)) if points else sweep.trials
            places = trials_at_a_time(nodes, sweep.resources, min(trials, sweep.concurrency or trials))
            if sweep.early_stop.scheduler == "pbt" and sweep.resources.workers and places < trials:
                raise ClusterError(
                    f"resources.workers: the cluster holds {places} of {trials} members with their training workers.\n"
                    "A population runs together: lower trials, or set resources.workers=0."
                )
            mark = print_sweep(sweep, base).encode()
            directory.write(SWEEP, mark)
            own = _trial_config(sweep, base, directory)
            share(own, directory)
            mode = direction(sweep.metric, sweep.mode, base.evaluate.extractor)
            stop = sweep.early_stop
            job = TrialJob(directory, mark, own, sweep.metric, mode, stop.smoothing, stop.grace * base.query.batch)
            _fit(sweep, base, space, points, job, places, watch)
        results = Results.read(directory)
        results.write()
        write_sweep_report(results)
    return results


def share(config: Config, directory: RunDirectory) -> None:
    """Do once what every trial needs: decode the pool into this node's cache, train and apply the extractor."""
    opened = Opened(config)
    skipped: list[Skipped] = opened.images.skipped(0, opened.images.blocks)
    rows = opened.reference_rows(skipped)
    cache = directory.inside(TRIALS, EVALUATION_CACHE)
    Evaluator(opened.config, opened.reference, rows, opened.classes, cache).prepare(Alone())


def _fit(
    sweep: SweepConfig, base: Config, space: Space, points: list[Point], job: TrialJob, places: int, watch: Watcher
) -> None:
    directory, population = job.directory, sweep.early_stop.scheduler == "pbt"
    configs = _configs(sweep, points, directory if population else None)
    searcher = make_searcher(sweep, space, job.mode, [] if points else _known_points(directory))
    drawn = {"seed": sweep.seeds[0], "number": 0, "population": False}
    param_space = drawn if searcher else {"trial": ray_tune.grid_search(configs)}
    end = _End(time.monotonic() + sweep.hours * 3600 if sweep.hours else None)
    watcher = _Watch(directory, end, len(configs) if points else sweep.trials, watch)
    directory.delete("tune")
    tuner = ray_tune.Tuner(
        ray_tune.with_resources(
            ray_tune.with_parameters(SweepTrial, job=job), PlacementGroupFactory(trial_bundles(sweep.resources))
        ),
        param_space=param_space,
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=make_scheduler(sweep, base, space, job.mode),
            num_samples=1 if points else sweep.trials,
            # A population waits for all of its members; those that are paused would count.
            max_concurrent_trials=None if population else places,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=RunConfig(
            name="runs",
            storage_path=directory.inside("tune", "runs").storage,
            failure_config=FailureConfig(max_failures=LOST_TRIALS),
            callbacks=[watcher, *_loggers(sweep)],
            stop=end,
            verbose=0,
        ),
    )
    with _quiet():
        grid = tuner.fit()
    if end.fatal:
        raise StorageError(
            f"{end.fatal}\nThe sweep's other rounds are kept: mend this, then run it again with --resume."
        )
    for result in grid:
        if result.error is not None and not isinstance(result.error, KeyboardInterrupt):
            logger.warning("a trial was lost: %s", str(result.error).strip().splitlines()[-1][:300])
    if not end.over and any(trial.state == "unfinished" for trial in Results.read(directory).trials):
        lost = sum(result.error is not None for result in grid)
        if lost:
            raise ClusterError(
                f"{lost} trials died {LOST_TRIALS + 1} times each, with their process or node; see the warnings.\n"
                "What they committed is kept: give a trial more memory, then run the sweep again with --resume."
            )
        raise KeyboardInterrupt


class _End(Stopper):  # type: ignore[misc]
    """End the sweep: at its time, or where going on is in vain for every trial."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self.fatal = ""

    @property
    def over(self) -> bool:
        """Return whether the sweep's time has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stop no trial by itself."""
        return False

    def stop_all(self) -> bool:
        """Return whether to end the sweep."""
        return bool(self.fatal) or self.over


class _Watch(Callback):  # type: ignore[misc]
    """Hear what Tune hears: note which trials were given up, and tell whoever watches."""

    def __init__(self, directory: RunDirectory, end: _End, trials: int, watch: Watcher) -> None:
        self._directory, self._end, self._trials, self._watch = directory, end, trials, watch
        self._ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out who watches: Tune writes its callbacks down, and nobody reads them back."""
        return self.__dict__ | {"_watch": watch_nothing}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Tell of a round; note what ends the sweep."""
        self._end.fatal = self._end.fatal or result.get("fatal", "")
        if not result["ended"]:
            self._tell(trial, result, "running")

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note a trial that Tune's scheduler gave up; those that end with the sweep stay unfinished."""
        result = trial.last_result or {}
        if "fatal" in result or "trial_run" not in result or self._end.stop_all():
            return
        run = self._directory.inside(TRIALS, result["trial_run"])
        if read_note(run, ENDED) is None:
            reason = f"given up after {result['asked']} labels, at {result['objective']:.4g}"
            write_note(run, ENDED, {"state": "stopped", "reason": reason})
        self._ended.add(trial.trial_id)
        note = read_note(run, ENDED) or {}
        self._tell(trial, result, note["state"], note["reason"])

    def _tell(self, trial: Any, result: dict[str, Any], state: str, reason: str = "") -> None:
        config = trial.config.get("trial", trial.config)
        at = (result["round"], result["asked"], result["value"], result["seconds"])
        counts = (len(self._ended), self._trials, reason)
        self._watch(Progress(result["trial_run"], config["point"], config["seed"], state, *at, *counts))


def _configs(sweep: SweepConfig, points: list[Point], population: RunDirectory | None) -> list[dict[str, Any]]:
    """Return Tune's configuration of each trial: all points of the first seed first.

    A population that was interrupted goes on from the values that its members had by then.
    """
    pairs = [(point, seed) for seed in sweep.seeds for point in points]
    configs = []
    for number, (point, seed) in enumerate(pairs):
        begun = generations(population, f"member-{number:03d}") if population else []
        if begun:
            point = (read_note(begun[-1], TRIAL) or {})["point"]
        configs.append({"point": point, "seed": seed, "number": number, "population": population is not None})
    return configs


def _known_points(directory: RunDirectory) -> list[Point]:
    """Return the points that an interrupted sweep has begun, in the order in which it did."""
    notes = [read_note(run, TRIAL) for run in current_runs(directory)]
    return [note["point"] for note in sorted(filter(None, notes), key=lambda note: note["begun"])]


def _trial_config(sweep: SweepConfig, base: Config, directory: RunDirectory) -> Config:
    """Return the base with what a trial's place in the cluster settles."""
    resources = sweep.resources
    values: dict[str, Any] = {"pool.shards": resources.shards, "train.workers": resources.workers, "address": None}
    if resources.shards:
        values |= {"pool.cpus_per_shard": resources.cpus_per_shard, "pool.gpus_per_shard": resources.gpus_per_shard}
    if resources.workers:
        values["train.cpus_per_worker"] = resources.cpus_per_worker
        values["train.gpus_per_worker"] = resources.gpus_per_worker
    cpus = resources.cpus_per_worker if resources.workers else resources.cpus
    values |= {
        "train.threads": max(1, int(cpus)),
        "name": "trial",
        "storage": directory.inside(TRIALS, "trial").storage,
    }
    return make_config(with_values(base, values))


def _compare(directory: RunDirectory, sweep: SweepConfig, base: Config, resume: bool) -> None:
    """Refuse to mix two sweeps in one folder; one that has begun no trial yet may be replaced.

    Raises:
        RunError: a sweep is there already and `resume` was not asked for, or it is another one; or none is there.
    """
    if not directory.has(SWEEP):
        if resume:
            raise RunError(
                f"{directory.uri}: there is no sweep to take up (no {SWEEP}).\nLeave --resume out to begin one."
            )
        return
    if not current_runs(directory):
        return
    if not resume:
        raise RunError(
            f"{directory.uri}: a sweep of this name was begun before.\n"
            "Go on with it by --resume, or give this one another name=..."
        )
    saved, saved_base = read_saved_sweep(directory)
    changed = [k for k in differing_keys(saved, sweep) if not k.startswith((*MAY_CHANGE, "base"))]
    changed += [f"base.{key}" for key in differing_keys(saved_base, base)]
    if changed:
        raise RunError(
            f"{directory.uri}: holds another sweep; it differs in {', '.join(changed[:5])}.\n"
            "Give this one another name=..., or take that one up as it was."
        )


def _loggers(sweep: SweepConfig) -> list[Callback]:
    made: list[Callback] = []
    if "tensorboard" in sweep.loggers:
        made.append(TBXLoggerCallback())
    if "mlflow" in sweep.loggers:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        made.append(MLflowLoggerCallback(experiment_name=sweep.name))
    if "wandb" in sweep.loggers:
        from ray.air.integrations.wandb import WandbLoggerCallback

        made.append(WandbLoggerCallback(project=sweep.name))
    return made


def _plain(base: Mapping[str, Any] | str | Path) -> dict[str, Any] | str:
    return dict(base) if isinstance(base, Mapping) else str(base)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Tune's own tables and hints off the terminal while it works."""
    before = {name: os.environ.get(name) for name in QUIET}
    tunes = logging.getLogger("ray.tune")
    level = tunes.level
    os.environ.update(QUIET)
    tunes.setLevel(logging.ERROR)
    try:
        yield
    finally:
        tunes.setLevel(level)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


__all__ = ["Progress", "Results", "Watcher", "run_sweep", "share", "tune"]

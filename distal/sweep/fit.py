"""Hand a sweep's trials to Tune, and say how that ended."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune as ray_tune
from ray.tune import Callback, FailureConfig, PlacementGroupFactory, RunConfig, TuneConfig
from ray.tune.logger import TBXLoggerCallback

from distal.config import Config
from distal.errors import ClusterError, StorageError
from distal.run.directory import RunDirectory
from distal.sweep.config import SweepConfig
from distal.sweep.lineage import current_runs, member_of
from distal.sweep.placement import trial_bundles
from distal.sweep.search import make_scheduler, make_searcher
from distal.sweep.space import Point, Space
from distal.sweep.trial import SweepTrial, TrialJob
from distal.sweep.trials import read_trial
from distal.sweep.watch import End, Watch, Watcher

LOST_TRIALS = 8
"""How often a trial is begun again whose process or node died; its own errors are not tried again."""

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # what they write is in results.parquet and curves.parquet
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}

DRAWN = {"TUNE_MAX_PENDING_TRIALS_PG": "32"}
"""How many trials wait for a place at a time, where points are drawn beforehand: enough for a cluster that grows by
what is asked for. Tune's 200 would be as many placement groups to schedule on one machine."""


def fit(
    sweep: SweepConfig, base: Config, space: Space, points: list[Point], job: TrialJob, most: int | None, watch: Watcher
) -> None:
    """Run the trials until all have ended or the sweep's time has.

    points: to try, each under every seed; empty where a searcher chooses them. most: trials at a time; None: as many as
        find a place, on nodes that join later as well.

    Raises:
        StorageError: the sweep's folder cannot be written or read. ClusterError: trials died too often.
        KeyboardInterrupt: Ctrl-C, which Tune takes for the end of its loop.
    """
    directory, population = job.directory, sweep.early_stop.scheduler == "pbt"
    configs = _configs(sweep, points, directory if population else None)
    searcher = make_searcher(sweep, space, job.mode, [] if points else _known_points(sweep, directory))
    drawn = {"seed": sweep.seeds[0], "number": 0, "population": False}
    param_space = drawn if searcher else {"trial": ray_tune.grid_search(configs)}
    end = End(time.monotonic() + sweep.hours * 3600 if sweep.hours else None)
    planned = len(configs) if points else sweep.trials
    own = sweep.resources
    watcher = Watch(directory, end, planned, watch, f"trials of {own.cpus:g} CPUs and {own.gpus:g} GPUs")
    directory.delete("tune")
    trainable = ray_tune.with_parameters(SweepTrial, job=job)
    tuner = ray_tune.Tuner(
        ray_tune.with_resources(trainable, PlacementGroupFactory(trial_bundles(own))),
        param_space=param_space,
        tune_config=TuneConfig(
            search_alg=searcher,
            scheduler=make_scheduler(sweep, base, space, job.mode),
            num_samples=1 if points else sweep.trials,
            # Those that are paused to be compared would count, and the others never begin.
            max_concurrent_trials=None if pauses(sweep) else most,
            # A process whose CUDA context a trial has broken would break every later one.
            reuse_actors=own.gpus == 0,
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
    with _settings({**QUIET, **(DRAWN if searcher is None else {})}), _own_signals():
        grid = tuner.fit()
    if end.fatal:
        raise StorageError(
            f"{end.fatal}\nThe sweep's other rounds are kept: mend this, then run it again with --resume."
        )
    lost = [str(result.error).strip() for result in grid if result.error is not None]
    if lost:
        raise ClusterError(
            f"{len(lost)} trials were begun {LOST_TRIALS + 1} times and died with their process or node; the last:\n"
            f"{' '.join(lost[-1].splitlines()[-1].split())[:300]}\n"
            "What they committed is kept: mend the cause, or give a trial more memory, then --resume."
        )
    if not end.over and len(watcher.ended) < planned:
        raise KeyboardInterrupt


def pauses(sweep: SweepConfig) -> bool:
    """Say whether the scheduler pauses trials until others have come as far."""
    return sweep.early_stop.scheduler in ("pbt", "hyperband")


def _configs(sweep: SweepConfig, points: list[Point], population: RunDirectory | None) -> list[dict[str, Any]]:
    """Return Tune's configuration of each trial: all points of the first seed first.

    A population that was interrupted goes on from the values that its members had by then.
    """
    pairs = [(point, seed) for seed in sweep.seeds for point in points]
    begun = {member_of(run): run for run in current_runs(population)} if population else {}
    configs = []
    for number, (point, seed) in enumerate(pairs):
        run = begun.get(f"member-{number:03d}")
        if run is not None:
            point = read_trial(run, sweep.space)["point"]
        configs.append({"point": point, "seed": seed, "number": number, "population": population is not None})
    return configs


def _known_points(sweep: SweepConfig, directory: RunDirectory) -> list[Point]:
    """Return the points that an interrupted sweep has begun, in the order in which it did."""
    notes = [read_trial(run, sweep.space) for run in current_runs(directory)]
    return [note["point"] for note in sorted(notes, key=lambda note: note["begun"])]


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


@contextmanager
def _settings(given: dict[str, str]) -> Iterator[None]:
    """Tell Tune these by its environment, and keep its own tables and hints off the terminal while it works."""
    before = {name: os.environ.get(name) for name in given}
    tunes = logging.getLogger("ray.tune")
    level = tunes.level
    os.environ.update(given)
    tunes.setLevel(logging.ERROR)
    try:
        yield
    finally:
        tunes.setLevel(level)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _own_signals() -> Iterator[None]:
    """Put this process's signal handlers back: Tune leaves its own, which would swallow the next Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

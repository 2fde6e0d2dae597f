"""Run a sweep: check it, prepare what its trials share, hand them to Tune, and read what they left behind."""

import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distal.communicator import Alone
from distal.config import EVALUATION_CACHE, Config
from distal.data.chunks import Skipped
from distal.data.protocol import Rows
from distal.data.table import ImageTable
from distal.driver.cluster import cluster, living_nodes
from distal.driver.node import watched
from distal.driver.preparation import Preparation
from distal.errors import ClusterError, RunError
from distal.features.rows import EmbeddedRows
from distal.places import with_absolute_places
from distal.pool.actors import ShardActors
from distal.pool.sight import Frozen
from distal.resolve import differing_keys, make_config, with_values
from distal.run.directory import RunDirectory
from distal.sweep.config import SweepConfig
from distal.sweep.fit import fit, pauses
from distal.sweep.lineage import current_runs
from distal.sweep.objective import direction
from distal.sweep.placement import most_at_a_time
from distal.sweep.report import write_sweep_report
from distal.sweep.resolve import SWEEP, check_sweep, make_sweep, print_sweep, read_saved_sweep
from distal.sweep.results import Results
from distal.sweep.space import Point, Space
from distal.sweep.trial import TrialJob
from distal.sweep.trials import ENDED, TRIALS, read_note, trial_name
from distal.sweep.watch import Watcher, watch_nothing

MAY_CHANGE = ("address", "storage", "name", "trials", "concurrency", "resources.", "silent_s", "hours", "loggers")
"""Keys that may change when a sweep is taken up again; its folder may have moved."""

BASE_MAY_CHANGE = ("storage", "autoscaling", "wait_s", "pool.silent_s")
"""Those of the base: no trial lies in its storage, and the others say how a cluster is waited for."""


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
        space: searched keys, as ``{"model.regularizers.r1": {"loguniform": [0.01, 1.0]}}``; a list is a choice.
        base: configuration of the runs: a Config, a mapping, a YAML file, or None for the defaults.
        resume: take up a sweep that was interrupted. watch: hears of each round.
        settings: other keys of `SweepConfig`, such as ``trials=20, seeds=[0, 1], concurrency=4``.

    Raises:
        ConfigError, ClusterError: whatever is wrong, before any trial starts. RunError: the sweep's folder holds
            another one, or all trials failed. StorageError: it cannot be written; what was done is kept.
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
    sweep, base = with_absolute_places(sweep), with_absolute_places(base)
    directory = RunDirectory.open(sweep.storage, sweep.name)
    with directory.lock("driver"):
        _compare(directory, sweep, base, resume)
        if not _all_ended(sweep, points, directory):
            _run_trials(sweep, base, space, points, directory, watch)
        results = Results.read(directory)
        results.write()
        write_sweep_report(results)
    results.require_some()
    return results


def _all_ended(sweep: SweepConfig, points: list[Point], directory: RunDirectory) -> bool:
    """Say whether every trial that is planned has come to its end before; one that failed is begun anew."""
    runs = current_runs(directory)
    if any((read_note(run, ENDED) or {}).get("state") not in ("finished", "stopped") for run in runs):
        return False
    if points and sweep.early_stop.scheduler != "pbt":
        return {trial_name(point, seed) for point in points for seed in sweep.seeds} <= {run.name for run in runs}
    return len(runs) >= _planned(sweep, points)


def _planned(sweep: SweepConfig, points: list[Point]) -> int:
    return len(points) * len(sweep.seeds) if points else sweep.trials


def _run_trials(
    sweep: SweepConfig, base: Config, space: Space, points: list[Point], directory: RunDirectory, watch: Watcher
) -> None:
    """Prepare what the trials share and run them, those that were begun before from where they are."""
    with cluster(sweep.address), watched():
        trials = _planned(sweep, points)
        most = most_at_a_time(living_nodes(), sweep.resources, trials, sweep.concurrency, base.autoscaling)
        if pauses(sweep) and sweep.resources.workers and most is not None and most < trials:
            raise ClusterError(
                f"resources.workers: the cluster holds {most} of {trials} trials with their training workers.\n"
                f"'{sweep.early_stop.scheduler}' runs them together: lower trials, or set resources.workers=0."
            )
        mark = print_sweep(sweep, base).encode()
        directory.write(SWEEP, mark)
        own = _trial_config(sweep, base, directory)
        share(own, directory)
        mode = direction(sweep.metric, sweep.mode, base.evaluate)
        stop = sweep.early_stop
        grace, launch = stop.grace * base.query.batch, uuid.uuid4().hex
        job = TrialJob(directory, mark, own, sweep.metric, mode, stop.smoothing, grace, sweep.silent_s, launch)
        fit(sweep, base, space, points, job, most, watch)


def share(config: Config, directory: RunDirectory) -> None:
    """Do once what every trial needs: settle the pool's files, decode and embed them, prepare scoring."""
    opened = Preparation(config, directory)
    opened.write_tables(directory, closed=True)
    cache = directory.inside(TRIALS, EVALUATION_CACHE)
    network = opened.network(cache)
    pool = opened.config.pool  # where null shards have become a number
    if not pool.shards:
        skipped = opened.images.skipped(0, opened.images.blocks)  # which decodes it, on this node
        opened.evaluator(cache).prepare(Alone())
        _teach(opened, network, opened.images, skipped)
        for images in {id(each): each for each in (opened.images, opened.reference)}.values():
            _embed(network, images)
        return
    needs = (pool.shards, opened.holdout, config.seed, pool.cpus_per_shard or 1.0, pool.gpus_per_shard)
    shards = ShardActors(opened.images, *needs, directory.name, config.wait_s, network, pool.silent_s)
    try:
        skipped = [s for ready in shards.prepare() for s in ready.skipped]
        opened.evaluator(cache, skipped, shards.rows).prepare(Alone())
        if network is not None:
            _teach(opened, network, shards.rows, skipped)
            shards.look("embed", math.inf)
    finally:
        shards.close()
    if opened.reference is not opened.images:
        _embed(network, opened.reference)


def _teach(opened: Preparation, network: Frozen | None, rows: Rows, skipped: list[Skipped]) -> None:
    """Train the network that the pool has to teach, once for all trials; rows: gives the pool's pixels."""
    if network is not None:
        row_ids = np.setdiff1d(np.arange(opened.images.first_rows), [s.row_id for s in skipped])
        network.taught(torch.device("cpu"), rows, row_ids[~opened.images.held_out(row_ids, opened.holdout)])


def _embed(network: Frozen | None, images: ImageTable) -> None:
    """Compute the features of images in this process, if trials look at any."""
    if network is not None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        EmbeddedRows(images, network(device), device).embed(0, images.rows)


def _trial_config(sweep: SweepConfig, base: Config, directory: RunDirectory) -> Config:
    """Return the base with what a trial's place in the cluster settles."""
    resources = sweep.resources
    values: dict[str, Any] = {"pool.shards": resources.shards, "train.workers": resources.workers, "address": None}
    values["train.min_workers"] = None  # a trial begins when there is a place for all of it
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
    saved_base = with_absolute_places(saved_base)  # as an older version wrote it, it may hold relative ones
    changed += [f"base.{key}" for key in differing_keys(saved_base, base) if key not in BASE_MAY_CHANGE]
    if changed:
        raise RunError(
            f"{directory.uri}: holds another sweep; it differs in {', '.join(changed[:5])}.\n"
            "Give this one another name=..., or take that one up as it was."
        )


def _plain(base: Mapping[str, Any] | str | Path) -> dict[str, Any] | str:
    return dict(base) if isinstance(base, Mapping) else str(base)

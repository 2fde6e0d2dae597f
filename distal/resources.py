"""Divide a cluster's CPUs and GPUs between shard actors and training workers, which take turns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from distal.config import Config
from distal.errors import ClusterError

GRAIN = 1e-3
"""Ray counts fractions of a CPU; shares are rounded down to this, so that their sum always fits."""


@dataclass(frozen=True)
class Resources:
    """State what one shard actor and one training worker reserve."""

    shard_cpus: float
    shard_gpus: float
    worker_cpus: float
    worker_gpus: float


def divide_resources(config: Config, total: Mapping[str, float]) -> Resources:
    """Share the CPUs: with workers, half to the shards and half to the workers; without, all to the shards.

    At most 1 CPU each, and 1 where the cluster starts nodes on demand. Where it has GPUs every worker takes one.

    Args:
        total: what the cluster has, with the keys "CPU" and "GPU" (`ray.cluster_resources()`).

    Raises:
        ClusterError: the cluster has less than the shards and the workers need together, or fewer GPUs than workers.
    """
    cpus, gpus = max(0.0, total.get("CPU", 0.0) - config.driver_cpus), total.get("GPU", 0.0)
    shards, workers = config.pool.shards, config.train.workers
    fewest = min(workers, config.train.min_workers or workers)
    given_gpus = config.train.gpus_per_worker
    if given_gpus is None and 0 < gpus < fewest and not config.autoscaling:
        raise ClusterError(
            f"train.workers: {workers} workers cannot have a GPU each; the cluster has {gpus:g}.\n"
            f"Set train.workers={gpus:g}, or train.gpus_per_worker=0 to train on CPUs."
        )
    if given_gpus is not None and 0 < given_gpus < 1 and workers > 1:
        raise ClusterError(
            f"train.gpus_per_worker: {given_gpus:g} puts two of {workers} workers on one GPU, which NCCL refuses.\n"
            "Give 1, or 0 to train on CPUs, or one worker."
        )
    pool_share = math.inf if config.autoscaling else cpus / 2 if workers else cpus
    worker_share = math.inf if config.autoscaling else cpus / 2
    resources = Resources(
        shard_cpus=config.pool.cpus_per_shard or (_share(pool_share, shards) if shards else 0.0),
        shard_gpus=config.pool.gpus_per_shard,
        worker_cpus=config.train.cpus_per_worker or (_share(worker_share, workers) if workers else 0.0),
        worker_gpus=(float(0 < fewest <= gpus) if given_gpus is None else given_gpus),
    )
    if config.autoscaling:
        return resources
    need_cpus = shards * resources.shard_cpus + fewest * resources.worker_cpus
    need_gpus = shards * resources.shard_gpus + fewest * resources.worker_gpus
    if need_cpus > cpus + GRAIN or need_gpus > gpus + GRAIN:
        raise ClusterError(
            f"{shards} shards and {fewest} workers need {need_cpus:g} CPUs and {need_gpus:g} GPUs; the cluster has "
            f"{cpus:g} and {gpus:g}.\nLower pool.cpus_per_shard, pool.gpus_per_shard, train.cpus_per_worker or "
            "train.gpus_per_worker; where it starts nodes on demand, set autoscaling=true."
        )
    return resources


def _share(cpus: float, among: int) -> float:
    return 1.0 if cpus >= among else max(GRAIN, int(cpus / among / GRAIN) * GRAIN)

"""Divide a cluster's CPUs and GPUs between shard actors and training workers, which take turns."""

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

    At most 1 CPU each. Where the cluster has GPUs every worker takes one.

    Args:
        total: what the cluster has, with the keys "CPU" and "GPU" (`ray.cluster_resources()`).

    Raises:
        ClusterError: the cluster has less than the shards and the workers need together, or fewer GPUs than workers.
    """
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    shards, workers = config.pool.shards, config.train.workers
    pool_share = cpus / 2 if workers else cpus
    given_gpus = config.train.gpus_per_worker
    if given_gpus is None and 0 < gpus < workers:
        raise ClusterError(
            f"train.workers: {workers} workers cannot have a GPU each; the cluster has {gpus:g}.\n"
            f"Set train.workers={gpus:g}, or train.gpus_per_worker=0 to train on CPUs."
        )
    if given_gpus is not None and 0 < given_gpus < 1 and workers > 1:
        raise ClusterError(
            f"train.gpus_per_worker: {given_gpus:g} puts two of {workers} workers on one GPU, which NCCL refuses.\n"
            "Give 1, or 0 to train on CPUs, or one worker."
        )
    resources = Resources(
        shard_cpus=config.pool.cpus_per_shard or (_share(pool_share, shards) if shards else 0.0),
        shard_gpus=config.pool.gpus_per_shard,
        worker_cpus=config.train.cpus_per_worker or (_share(cpus / 2, workers) if workers else 0.0),
        worker_gpus=(float(0 < workers <= gpus) if given_gpus is None else given_gpus),
    )
    need_cpus = shards * resources.shard_cpus + workers * resources.worker_cpus
    need_gpus = shards * resources.shard_gpus + workers * resources.worker_gpus
    if need_cpus > cpus + GRAIN or need_gpus > gpus + GRAIN:
        raise ClusterError(
            f"{shards} shards and {workers} workers need {need_cpus:g} CPUs and {need_gpus:g} GPUs; the cluster has "
            f"{cpus:g} and {gpus:g}.\nLower pool.cpus_per_shard, pool.gpus_per_shard, train.cpus_per_worker or "
            "train.gpus_per_worker."
        )
    return resources


def _share(cpus: float, among: int) -> float:
    return max(GRAIN, min(1.0, int(cpus / among / GRAIN) * GRAIN))

"""Say how many shard actors a run has, and divide a cluster's CPUs and GPUs between them and the training workers."""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distal.config import Config, TrainConfig
from distal.driver.gpus import require_gpus, shards_beside, share_of_worker
from distal.errors import ClusterError

GRAIN = 1e-3
"""Ray counts fractions of a CPU; shares are rounded down to this, so that their sum always fits."""

SHARDS = 2
"""Actors of a pool that is cut at all, where nobody says how many: they scale with the cluster, which is not known."""

ROWS_IN_PROCESS = 20_000
"""Rows that one process scores sooner than Ray starts: 11 s on a busy machine."""


def joined_ray() -> bool:
    """Say whether this process has joined a Ray cluster, without importing what takes seconds."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def choose_shards(config: Config, rows: int, address: str | None = None) -> int:
    """Return `pool.shards`, or what null comes to for a pool of this many rows and a cluster at this address."""
    if config.pool.shards is not None:
        return config.pool.shards
    cluster = address or config.address or os.environ.get("RAY_ADDRESS") or joined_ray()
    return SHARDS if cluster or config.train.workers or rows > ROWS_IN_PROCESS else 0


@dataclass(frozen=True)
class Resources:
    """State what one shard actor and one training worker reserve."""

    shard_cpus: float
    shard_gpus: float
    worker_cpus: float
    worker_gpus: float


def possible_sizes(train: TrainConfig) -> list[int]:
    """Return the numbers of workers that training may start with, ascending: they divide the batch evenly."""
    least = train.workers if train.min_workers is None else train.min_workers
    return [n for n in range(least, train.workers + 1) if n == 0 or train.global_batch % n == 0]


def sizes_to_hold(config: Config, resources: "Resources", nodes: Sequence[Mapping[str, float]]) -> list[int]:
    """Return for which numbers of workers GPUs are to be held while shards find their place on the same ones.

    Those that leave the shards their room, and the least; none where shards and workers do not meet on GPUs.
    """
    if not (resources.shard_gpus and resources.worker_gpus and config.pool.shards):
        return []
    least, *more = possible_sizes(config.train)
    gpus, shards = sum(node.get("GPU", 0.0) for node in nodes), config.pool.shards
    shares = resources.worker_gpus, resources.shard_gpus
    if config.autoscaling or max(shares) > 1:
        return [least]
    return [least, *(n for n in more if n <= gpus and shards_beside(gpus, n, *shares) >= shards)]


def divide_resources(config: Config, nodes: Sequence[Mapping[str, float]]) -> Resources:
    """Share each node's CPUs: with workers, half to the shards and half to the workers; without, all to the shards.

    At most 1 CPU each, and 1 where the cluster starts nodes on demand. Where it has GPUs every worker takes one, or
    what shards that take fractions leave of it.

    Args:
        nodes: what each living node has, with the keys "CPU" and "GPU".

    Raises:
        ClusterError: the cluster has less than the shards and the workers need together, or fewer GPUs than workers,
            or their fractions of GPUs do not add up.
    """
    free = _without_driver([node.get("CPU", 0.0) for node in nodes], config.driver_cpus)
    cpus, gpus = sum(free), sum(node.get("GPU", 0.0) for node in nodes)
    shards, workers = config.pool.shards or 0, config.train.workers
    least = possible_sizes(config.train)[0]
    given_gpus = config.train.gpus_per_worker
    if given_gpus is None and 0 < gpus < least and not config.autoscaling:
        raise ClusterError(
            f"train.workers: {least} workers cannot have a GPU each; the cluster has {gpus:g}.\n"
            f"Set train.workers={gpus:g}, or train.gpus_per_worker=0 to train on CPUs."
        )
    shard_gpus = config.pool.gpus_per_shard
    worker_gpus = given_gpus
    if worker_gpus is None:
        most = max([size for size in possible_sizes(config.train) if size <= gpus], default=0)
        worker_gpus = share_of_worker(gpus, most, shards, shard_gpus) if 0 < least <= gpus else 0.0
    require_gpus(math.inf if config.autoscaling else gpus, least, worker_gpus, shards, shard_gpus)
    part = [node / 2 if workers else node for node in free]
    resources = Resources(
        shard_cpus=config.pool.cpus_per_shard or (1.0 if config.autoscaling else _share(part, shards)),
        shard_gpus=shard_gpus,
        worker_cpus=config.train.cpus_per_worker or (1.0 if config.autoscaling else _share(part, workers)),
        worker_gpus=worker_gpus,
    )
    if config.autoscaling:
        return resources
    need_cpus = shards * resources.shard_cpus + least * resources.worker_cpus
    need_gpus = shards * resources.shard_gpus + least * resources.worker_gpus
    if need_cpus > cpus + GRAIN or need_gpus > gpus + GRAIN:
        raise ClusterError(
            f"{shards} shards and {least} workers need {need_cpus:g} CPUs and {need_gpus:g} GPUs; the cluster has "
            f"{cpus:g} and {gpus:g}.\nLower pool.cpus_per_shard, pool.gpus_per_shard, train.cpus_per_worker or "
            "train.gpus_per_worker; where it starts nodes on demand, set autoscaling=true."
        )
    return resources


def _without_driver(cpus: list[float], held: float) -> list[float]:
    """Take what the driver holds from one node, the largest, for it is not known which."""
    largest = cpus.index(max(cpus)) if cpus else 0
    return [max(0.0, node - held) if i == largest else node for i, node in enumerate(cpus)]


def _share(parts: list[float], among: int) -> float:
    """Return the largest share, at most 1 CPU, of which the parts of the nodes hold as many as are asked for.

    A share lies on one node: two halves on two nodes are not one CPU.
    """
    if among == 0 or sum(parts) == 0:
        return 0.0 if among == 0 else GRAIN
    candidates = {1.0, *(part / pieces for part in parts for pieces in range(1, among + 1))}
    fitting = [c for c in candidates if 0 < c <= 1 and sum(int(part / c + 1e-9) for part in parts) >= among]
    return max(GRAIN, int(max(fitting) / GRAIN + 1e-6) * GRAIN)

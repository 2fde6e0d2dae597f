"""Divide GPUs between shard actors and training workers, so that what they take adds up on every single GPU.

A fraction lies on one GPU: two quarters on two GPUs are no half. And no two ranks may share one, which NCCL refuses: a
worker takes more than half of its GPU.
"""

from math import ceil, inf

from distal.errors import ClusterError

GRAIN = 1e-3
"""Ray counts fractions; they are rounded down to this."""

HALF = 0.5


def share_of_worker(gpus: float, workers: int, shards: int, shard_share: float) -> float:
    """Return what a worker takes of a GPU where nobody says: all of it, or what leaves the shards their room beside it.

    Args:
        gpus: the cluster's, at least as many as workers. shard_share: of one GPU, what a shard takes.
    """
    if not 0 < shard_share < HALF or not workers:
        return 1.0
    without = max(0, shards - shards_beside(gpus - workers, 0, 0.0, shard_share))
    left = int((1.0 - ceil(without / workers) * shard_share) / GRAIN + 1e-6) * GRAIN
    return left if left > HALF else 1.0


def require_gpus(gpus: float, workers: int, worker_share: float, shards: int, shard_share: float) -> None:
    """Require fractions to add up on each GPU; what takes whole ones is counted elsewhere.

    Raises:
        ClusterError: they do not; it says what would fit.
    """
    if workers > 1 and 0 < worker_share <= HALF:
        raise ClusterError(
            f"train.gpus_per_worker: {worker_share:g} can put two of {workers} workers on one GPU, which NCCL "
            "refuses.\nGive more than 0.5, such as 0.75 with pool.gpus_per_shard=0.25 beside it, or 0 to train on CPUs."
        )
    taken = workers if worker_share else 0
    if not (0 < shard_share <= 1 and worker_share <= 1 and max(taken, 1) <= gpus < inf):
        return
    fit = shards_beside(gpus, taken, worker_share, shard_share)
    if fit < shards:
        each = ceil(shards / gpus)
        lower = int(0.4 / each / GRAIN) * GRAIN if taken else int(1.0 / each / GRAIN) * GRAIN
        would = f"pool.gpus_per_shard={lower:g}{' train.gpus_per_worker=0.6' if taken else ''}"
        beside = f" beside {taken} training workers of {worker_share:g}" if taken else ""
        raise ClusterError(
            f"pool.gpus_per_shard: of {shards} shards of {shard_share:g} GPUs {fit} fit on {gpus:g} GPUs{beside}, for "
            f"a fraction lies on one GPU.\nWhat would fit: {would}, or pool.gpus_per_shard=0 to score on CPUs."
        )


def shards_beside(gpus: float, workers: int, worker_share: float, shard_share: float) -> int:
    """Return how many shards find room where each worker takes a part of a GPU of its own."""

    def on_one(taken: float) -> int:
        return int((1.0 - taken) / shard_share + 1e-6)

    return workers * on_one(worker_share) + int(gpus - workers) * on_one(0.0)

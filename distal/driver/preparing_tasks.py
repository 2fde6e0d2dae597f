"""Prepare the stretches of a pool on a cluster by Ray Data, whose actors keep the frozen network between them."""

import logging
import platform
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import ray
import ray.data
import torch
from ray.exceptions import RayError

from distal.config import Config
from distal.driver.cluster import cluster, living_nodes
from distal.driver.preparing import Wanted
from distal.errors import ClusterError, DistalError
from distal.pool.preparing import Made, Preparing, Stretch

logger = logging.getLogger(__name__)


class StretchMaker:
    """Make stretches in an actor of Ray Data. hash: of the network as the first node made it."""

    def __init__(self, wanted: Wanted, hash: str, device: str) -> None:
        self._begin = partial(_begun, wanted, hash, torch.device(device))
        self._preparing: Preparing | None = None

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Make one stretch; its numbers by name, and the kind of processor that made it."""
        if self._preparing is None:  # here, for of what refuses an actor's beginning Ray tells no more than its text
            self._preparing = self._begin()
        made = self._preparing.make(Stretch(int(batch["first"][0]), int(batch["last"][0])))
        return {"rows": [made.rows], "files": [made.files], "skipped": [made.skipped], "kind": [_kind()]}


def _begun(wanted: Wanted, hash: str, device: torch.device) -> Preparing:
    preparing = wanted.on(device)
    if preparing.hash != hash:
        raise ClusterError(
            "features.network: the nodes of this cluster do not compute alike (some gain from bfloat16, some do "
            "not), so their features would not be of one kind.\nTake nodes of one kind, or classifier=head."
        )
    return preparing


def _kind() -> str:
    """Name the instructions that products are computed by here: others sum in another order."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def prepare_on_cluster(config: Config, wanted: Wanted) -> tuple[Sequence[Stretch], Iterator[Made]]:
    """Return what is missing, as a node of the cluster sees it, and the stretches as they are made, in any order.

    Each takes `pool.cpus_per_shard` (1 where it is null) and `pool.gpus_per_shard`; as many are made at a time as fit,
    at most `pool.shards`. A stretch whose node dies is made again elsewhere.

    Raises:
        ClusterError: the cluster cannot be joined, or has no room for one.
    """
    made = _made(config, wanted)
    stretches: Sequence[Stretch] = next(made)
    return stretches, made


def _made(config: Config, wanted: Wanted) -> Iterator[Any]:
    """Yield the stretches that are missing, then what became of each, within one connection to the cluster."""
    with cluster(config.address):
        cpus, gpus = config.pool.cpus_per_shard or 1.0, config.pool.gpus_per_shard
        fitting = sum(_fitting(node, cpus, gpus) for node in living_nodes())
        if not (fitting or config.autoscaling):
            raise ClusterError(
                f"no node of the cluster has {cpus:g} CPUs and {gpus:g} GPUs, which a stretch of the pool takes.\n"
                "Lower pool.cpus_per_shard or pool.gpus_per_shard; where nodes start on demand, set autoscaling=true."
            )
        device = "cuda" if gpus else "cpu"
        stretches, hash = _asked(wanted, device, cpus, gpus)
        yield stretches
        most = max(1, min(len(stretches), config.pool.shards or max(fitting, 1)))
        if stretches:
            yield from _by_ray_data(stretches, most, cpus, gpus, (wanted, hash, device))


def _by_ray_data(
    stretches: Sequence[Stretch], most: int, cpus: float, gpus: float, arguments: tuple[Any, ...]
) -> Iterator[Made]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    rows = [{"first": stretch.first, "last": stretch.last} for stretch in stretches]
    data = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        StretchMaker,
        fn_constructor_args=arguments,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        num_cpus=cpus,
        num_gpus=gpus,
    )
    kinds: set[str] = set()
    try:
        for row in data.iter_rows():
            kinds.add(row["kind"])
            yield Made(row["rows"], row["files"], row["skipped"])
    except RayError as error:
        raise _own_error(error) from None
    if len(kinds) > 1 and arguments[0].network is not None:
        logger.warning(
            "features were made by processors of %d kinds (%s), whose last bits differ; runs that fetch them all see "
            "the same ones",
            *(len(kinds), ", ".join(sorted(kinds))),
        )


def _asked(wanted: Wanted, device: str, cpus: float, gpus: float) -> tuple[Sequence[Stretch], str]:
    """Ask a node of the kind that does the work what is missing, for its hardware decides the features' name."""
    look = ray.remote(num_cpus=cpus, num_gpus=gpus)(_look)
    try:
        found: tuple[Sequence[Stretch], str] = ray.get(look.remote(wanted, device))
    except RayError as error:
        raise _own_error(error) from None
    return found


def _look(wanted: Wanted, device: str) -> tuple[Sequence[Stretch], str]:
    preparing = wanted.on(torch.device(device))
    preparing.begin()
    return preparing.missing(), preparing.hash


def _fitting(node: dict[str, float], cpus: float, gpus: float) -> int:
    room = node.get("CPU", 0.0) / cpus
    return int(min(room, node.get("GPU", 0.0) / gpus) if gpus else room)


def _own_error(error: BaseException) -> DistalError:
    """Return distal's error that a task ended with, else one that says what Ray said."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, DistalError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return ClusterError(
        f"preparing the pool failed on the cluster: {str(error).splitlines()[-1][:200]}\n"
        "What was made is kept: the same command goes on."
    )

"""Take nodes with shards away, seat shards and workers on GPUs that are told to be there, have a node told to go.

`lost_nodes.py` calls these on its cluster, which has one node of one CPU by then, and prints what they say.
"""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from bare_cluster import STORE, lose
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION
from ray.util import placement_group, remove_placement_group

from distal.config import PoolConfig
from distal.data.table import ImageTable, open_images
from distal.driver.drains import LOOK_S, Drains
from distal.driver.launch import WorkerGroup
from distal.driver.sharing import hold_for_workers
from distal.pool.actors import ShardActors
from distal.pool.local import LocalShard
from distal.query import STRATEGIES, Known, select

NONE = np.zeros(0, dtype=np.int64)
STRATEGY = STRATEGIES.find("random")
PLACE_S = 4.0


def say(**facts: Any) -> None:
    sys.stdout.write(" ".join(f"{name}={value}" for name, value in facts.items()) + "\n")
    sys.stdout.flush()


def opened(images: ImageTable, place_s: float) -> ShardActors:
    """Score a round on five shards, four of them on the node of four CPUs; a lost one waits so long for a place."""
    shards = ShardActors(images, 5, 0.0, 0, 1.0, 0.0, "lost", 90.0)
    shards.prepare()
    shards.calls._place_s = place_s
    shards.open_round(1, STRATEGY, None, NONE, Known(NONE, NONE, 10))
    return shards


def lose_shards(cluster: Cluster, cache: Path) -> None:
    images = open_images(PoolConfig(block_rows=64, cache=str(cache)))
    alone = LocalShard(images, 0.0, 0)
    alone.prepare()
    alone.open_round(2, STRATEGY, None, NONE, Known(NONE, NONE, 10))
    expected = select(alone, STRATEGY, 12, 0, 1).row_ids.tolist()
    for name, replaced, place_s in (("cut", False, PLACE_S), ("restarted", True, 90.0)):
        four = cluster.add_node(num_cpus=4, **STORE)
        shards = opened(images, place_s)
        if replaced:
            cluster.add_node(num_cpus=4, **STORE)
        lose(cluster, four)
        began = time.monotonic()
        shards.open_round(2, STRATEGY, None, NONE, Known(NONE, NONE, 10))  # which calls every shard
        same = select(shards, STRATEGY, 12, 0, 1).row_ids.tolist() == expected
        again = select(shards, STRATEGY, 12, 0, 1).row_ids.tolist() == expected
        actors = {piece.actor for piece in shards.calls.pieces}
        say(lost=name, same=same and again, actors=len(actors), seconds=f"{time.monotonic() - began:.0f}")
        shards.close()


class Seat:
    """Take a part of a GPU."""

    def gpu(self) -> str:
        return str(ray.get_runtime_context().get_accelerator_ids()["GPU"][0])


def share_gpus(cluster: Cluster) -> None:
    """Seat two shards of a quarter on two GPUs, then two workers of three quarters: with their places held, or not."""
    cluster.add_node(num_cpus=4, num_gpus=2, **STORE)
    group = WorkerGroup("shared", workers=2, cpus=0.5, gpus=0.75, threads=1)
    seat = ray.remote(num_cpus=0.5, num_gpus=0.25)(Seat)
    for held in (False, True):
        release = hold_for_workers(group, [2], 30.0) if held else None
        shards = [seat.remote() for _ in range(2)]
        gpus = {ray.get(shard.gpu.remote()) for shard in shards}
        if release is not None:
            release()
        workers = placement_group([{"CPU": group.cpus, "GPU": group.gpus}] * 2)
        say(held=held, gpus=len(gpus), both_workers=workers.wait(30.0 if held else 2.0))
        remove_placement_group(workers)
        for shard in shards:
            ray.kill(shard)


def hear_of_a_drain(cluster: Cluster) -> None:
    node = cluster.add_node(num_cpus=1, resources={"spot": 1}, **STORE)
    busy = ray.remote(num_cpus=0, resources={"spot": 1})(Seat).remote()  # an idle node is gone as soon as it is told
    ray.get(busy.__ray_ready__.remote())
    told = Drains()
    before = told()
    gcs = ray._raylet.GcsClient(address=cluster.address)
    deadline_ms = int((time.time() + 120) * 1000)
    accepted, why = gcs.drain_node(node.node_id, DRAIN_NODE_REASON_PREEMPTION, "spot", deadline_ms)
    assert accepted, why
    at_once = told()
    time.sleep(LOOK_S)
    say(drains=f"{before},{at_once},{told()}")

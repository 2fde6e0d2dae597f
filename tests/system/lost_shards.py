"""Begin with a cluster that has no CPUs: a sweep waits for its first node; nodes with shards are then taken away,
shards and workers seated on GPUs that are told to be there, and a node is told to go.

    python lost_shards.py SWEEP.yaml

Each node is a raylet of its own on this machine; what came of it is printed, a line each.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION
from ray.util import placement_group, placement_group_table, remove_placement_group
from two_rounds import wait_until
from written_runs import WrittenTrial

from distal.config import PoolConfig
from distal.data.table import ImageTable, open_images
from distal.driver.drains import LOOK_S, Drains
from distal.driver.launch import WorkerGroup
from distal.driver.sharing import hold_for_workers
from distal.pool.actors import ShardActors
from distal.pool.local import LocalShard
from distal.query import STRATEGIES, Known, select
from distal.sweep import fit, tuner
from distal.sweep.resolve import read_sweep
from distal.sweep.tuner import run_sweep

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from forked_workers import forked_workers

STORE = {"object_store_memory": 2**27}
NONE = np.zeros(0, dtype=np.int64)
STRATEGY = STRATEGIES.find("random")
PLACE_S = 4.0


def say(**facts: Any) -> None:
    sys.stdout.write(" ".join(f"{name}={value}" for name, value in facts.items()) + "\n")
    sys.stdout.flush()


def sweep_before_there_is_a_node(cluster: Cluster, sweep: str) -> None:
    """Trials begin when a node joins, which is after the sweep has begun to wait."""
    fit.SweepTrial = WrittenTrial  # type: ignore[misc]
    tuner.share = lambda config, directory: None
    began, states = list[float](), list[str]()

    def run() -> None:
        results = run_sweep(read_sweep(sweep), watch=lambda progress: began.append(time.monotonic()))
        states.extend(trial.state for trial in results.trials)

    thread = threading.Thread(target=run)  # a node is added by the main thread, which alone may handle signals
    thread.start()
    wait_until(lambda: any(p["state"] == "PENDING" for p in placement_group_table().values()), "a trial waits", 90.0)
    waited, joined = not began, time.monotonic()
    cluster.add_node(num_cpus=1, **STORE)
    thread.join(timeout=120.0)
    say(sweep=",".join(states), waited=waited, within=f"{began[0] - joined:.0f}" if began else "never")


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
        cluster.remove_node(four, allow_graceful=False)
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


def main() -> None:
    with forked_workers(Path(tempfile.mkdtemp()), "distal.sweep.trial", "written_runs") as command:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **STORE})
        runtime = {"py_executable": command}
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", runtime_env=runtime)
        sweep_before_there_is_a_node(cluster, sys.argv[1])
        lose_shards(cluster, Path(sys.argv[1]).with_name("decoded-shards"))
        share_gpus(cluster)
        hear_of_a_drain(cluster)
    os._exit(0)  # the cluster's own clean-up waits long for the nodes that are gone


if __name__ == "__main__":
    main()

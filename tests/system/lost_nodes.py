"""Take nodes of a Ray cluster on this machine away: one is killed under a sweep, one is drained under training workers.

    python lost_nodes.py SWEEP.yaml

Each node is a raylet of its own with its own workers. What is left of the drained group, and when, goes to a file.
"""

import os
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster
from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION
from two_rounds import wait_until
from written_runs import WrittenTrial

from distal.communicator import Communicator
from distal.driver.launch import WorkerGroup
from distal.driver.workers import Workers
from distal.sweep import fit, tuner
from distal.sweep.resolve import read_sweep
from distal.sweep.tuner import run_sweep
from distal.sweep.watch import Progress

NODE = {"num_cpus": 1, "object_store_memory": 2**27}
DEADLINE_S = 2.0


def kill_a_node_under_a_sweep(cluster: Cluster, node: object, sweep: str) -> None:
    """Trials that train nothing lose their node in the middle."""
    fit.SweepTrial = WrittenTrial  # type: ignore[misc]
    tuner.share = lambda config, directory: None
    gone: list[str] = []

    def take_away(progress: Progress) -> None:
        if progress.round == 2 and not gone:
            gone.append(progress.trial)
            cluster.remove_node(node, allow_graceful=False)

    results = run_sweep(read_sweep(sweep), watch=take_away)
    states = sorted(trial.state for trial in results.trials)
    sys.stdout.write(f"gone {len(gone)} states {states}\n")


def drain_a_node_under_workers(cluster: Cluster, notes: Path) -> None:
    """Have two workers wait for what never comes; one of them goes on when the other's node is taken back."""
    ours = ray.get_runtime_context().get_node_id()
    nodes = [node for node in cluster.list_all_nodes() if node != cluster.head_node]
    leaving = next(node for node in [*nodes, cluster.add_node(**NODE)] if node.node_id != ours)

    def work(comm: Communicator) -> None:
        if comm.rank == 0:
            with notes.open("a") as file:
                file.write(f"{comm.size}\n")
        while comm.size == 2:
            time.sleep(0.1)

    group = WorkerGroup("distal-drained", workers=2, cpus=1.0, gpus=0.0, threads=1)
    thread = threading.Thread(target=Workers(work, group, [1, 2], lambda: 0).run)
    thread.start()
    wait_until(lambda: notes.exists() and notes.read_text() == "2\n", "both workers work", 60.0)
    gcs = ray._raylet.GcsClient(address=cluster.address)
    began = time.monotonic()
    deadline_ms = int((time.time() + DEADLINE_S) * 1000)
    accepted, why = gcs.drain_node(leaving.node_id, DRAIN_NODE_REASON_PREEMPTION, "spot", deadline_ms)
    assert accepted, why
    time.sleep(DEADLINE_S)
    cluster.remove_node(leaving, allow_graceful=False)
    thread.join(timeout=90.0)
    sys.stdout.write(f"workers {notes.read_text().split()} after {time.monotonic() - began:.0f} s\n")


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 2**27})
    nodes = [cluster.add_node(**NODE) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    kill_a_node_under_a_sweep(cluster, nodes[0], sys.argv[1])
    drain_a_node_under_workers(cluster, Path(sys.argv[1]).with_name("drained"))
    sys.stdout.flush()
    os._exit(0)  # the cluster's own clean-up waits long for the nodes that are gone


if __name__ == "__main__":
    main()

"""Begin with a cluster that has no CPUs, add nodes and take them away: under a sweep, under workers, under shards.

    python lost_nodes.py SWEEP.yaml

A sweep waits for its first node, and loses it later; of two training workers one is drained; shards are lost with
their node; shards and workers are seated on GPUs that are told to be there; a node is told to go. Each node is a raylet
of its own on this machine; what came of it is printed, a line each.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import ray
from bare_cluster import STORE, bare_cluster, lose
from lost_shards import hear_of_a_drain, lose_shards, say, share_gpus
from ray.core.generated.autoscaler_pb2 import DRAIN_NODE_REASON_PREEMPTION
from ray.util import placement_group_table
from two_rounds import wait_until
from written_runs import WrittenTrial

from distal.communicator import Communicator
from distal.driver.launch import WorkerGroup
from distal.driver.workers import Workers
from distal.sweep import fit, tuner
from distal.sweep.resolve import read_sweep
from distal.sweep.tuner import run_sweep
from distal.sweep.watch import Progress

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from forked_workers import forked_workers

NODE = {"num_cpus": 1, **STORE}
DEADLINE_S = 2.0
WAIT_S = 120.0


def lose_a_node_under_a_sweep(cluster: Any, sweep: str) -> None:
    """Trials that train nothing begin when a node joins; another joins, and is lost in the middle.

    The first stays, as all forked workers watch the raylet of the first of them, and end with it.
    """
    fit.SweepTrial = WrittenTrial  # type: ignore[misc]
    tuner.share = lambda config, directory: None
    heard, states = list[Progress](), list[str]()

    def run() -> None:
        results = run_sweep(read_sweep(sweep), watch=heard.append)
        states.extend(sorted(trial.state for trial in results.trials))

    thread = threading.Thread(target=run)  # a node is added by the main thread, which alone may handle signals
    thread.start()
    wait_until(lambda: any(p["state"] == "PENDING" for p in placement_group_table().values()), "a trial waits", WAIT_S)
    waited = not heard
    cluster.add_node(**NODE)
    wait_until(lambda: heard, "a trial runs", WAIT_S)
    second = cluster.add_node(**NODE)
    wait_until(lambda: len({p.trial for p in heard if p.round >= 2}) == 2, "two trials have two rounds", WAIT_S)
    lose(cluster, second)
    thread.join(timeout=WAIT_S)
    assert not thread.is_alive(), heard
    say(sweep=",".join(states), waited=waited)


def drain_a_node_under_workers(cluster: Any, notes: Path) -> None:
    """Have two workers wait for what never comes; one of them goes on when the other's node is taken back."""
    leaving = cluster.add_node(**NODE)

    def work(comm: Communicator) -> None:
        if comm.rank == 0:
            with notes.open("a") as file:
                file.write(f"{comm.size}\n")
        while comm.size == 2:
            time.sleep(0.1)

    group = WorkerGroup("distal-drained", workers=2, cpus=1.0, gpus=0.0, threads=1)
    thread = threading.Thread(target=Workers(work, group, [1, 2], lambda: 0).run)
    thread.start()
    wait_until(lambda: notes.exists() and notes.read_text() == "2\n", "both workers work", WAIT_S)
    gcs = ray._raylet.GcsClient(address=cluster.address)
    began = time.monotonic()
    deadline_ms = int((time.time() + DEADLINE_S) * 1000)
    accepted, why = gcs.drain_node(leaving.node_id, DRAIN_NODE_REASON_PREEMPTION, "spot", deadline_ms)
    assert accepted, why
    time.sleep(DEADLINE_S)
    lose(cluster, leaving)
    thread.join(timeout=WAIT_S)
    assert not thread.is_alive(), notes.read_text()
    say(workers=",".join(notes.read_text().split()), after_s=f"{time.monotonic() - began:.0f}")


def main() -> None:
    folder = Path(sys.argv[1]).parent
    modules = ("distal.driver.launch", "distal.sweep.trial", "written_runs")
    with forked_workers(Path(tempfile.mkdtemp()), *modules) as command:
        cluster = bare_cluster()
        runtime = {"py_executable": command}
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR", runtime_env=runtime)
        lose_a_node_under_a_sweep(cluster, sys.argv[1])
        drain_a_node_under_workers(cluster, folder / "drained")
        lose_shards(cluster, folder / "decoded-shards")
        share_gpus(cluster)
        hear_of_a_drain(cluster)
        for process in psutil.Process().children(recursive=True):  # Ray's agents would stay for minutes
            process.kill()
    os._exit(0)  # the cluster's own clean-up waits long for the nodes that are gone


if __name__ == "__main__":
    main()

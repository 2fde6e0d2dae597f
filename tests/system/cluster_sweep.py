"""Run a sweep on a Ray cluster of several nodes on this machine, and take a node away in the middle of it.

    python cluster_sweep.py SWEEP.yaml

Each node is a raylet of its own with its own workers; the one that goes is killed, not asked.
"""

import os
import sys

import ray
from ray.cluster_utils import Cluster

from distal.sweep.resolve import read_sweep
from distal.sweep.tuner import run_sweep
from distal.sweep.watch import Progress


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 2**27})
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=2**27) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    gone: list[str] = []

    def take_away(progress: Progress) -> None:
        if progress.round == 2 and not gone:
            gone.append(progress.trial)
            cluster.remove_node(nodes[0], allow_graceful=False)

    results = run_sweep(read_sweep(sys.argv[1]), watch=take_away)
    states = sorted(trial.state for trial in results.trials)
    sys.stdout.write(f"gone {len(gone)} states {states}\n")
    sys.stdout.flush()
    os._exit(0)  # the cluster's own clean-up waits long for the node that is gone


if __name__ == "__main__":
    main()

"""What a round costs beyond its compute, with the actors and workers up.

    python benchmarks/round_cost.py

Runs the whole loop on the embedded digits with next to no compute (one training step, few generated images) and prints
the wall time from one commit to the next, for training in the driver's process and in one Ray Train worker. What is
left of compute in it (scoring 1,797 rows, one step, 100 generated images) is counted too, so the figure is an upper
bound of the fixed cost.
"""

import statistics
import tempfile
import time
from itertools import pairwise

import ray
from local_ray import start_ray
from machine import describe_machine

from distal import ActiveLearner

ROUNDS = 8


def main() -> None:
    print(describe_machine())
    start_ray()
    storage = tempfile.mkdtemp(prefix="distal-benchmark-")
    for workers in (0, 1):
        config = {
            "name": f"workers-{workers}",
            "storage": storage,
            "rounds": ROUNDS,
            "train": {"steps": 1, "workers": workers},
            "evaluate": {"samples": 100},
        }
        times = []
        for _ in ActiveLearner(config).rounds():
            times.append(time.perf_counter())
        between = [b - a for a, b in pairwise(times)]
        print(
            f"  train.workers={workers}: {statistics.median(between):.2f} s a round, at most {max(between):.2f}, bar 1"
        )
    ray.shutdown()


if __name__ == "__main__":
    main()

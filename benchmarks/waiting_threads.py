"""What a training step on all cores takes, waiting threads soon asleep or spinning, alone and beside busy processes.

    python benchmarks/waiting_threads.py [--busy 2] [--updates 5] [--runs 3]

`import distal` has libgomp put a waiting thread to sleep after a thousand looks (GOMP_SPINCOUNT); libgomp's own default
spins for some milliseconds, on a core that somebody else may need. Processes of both kinds take turns; a run's seconds
are those of an update of G and D, 32 images of 32 px.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time

import numpy as np
from held_images import HeldImages
from machine import describe_machine

from distal.communicator import Alone
from distal.models import GAN
from distal.nets.threads import threads
from distal.resolve import make_config
from distal.train import TrainingRows

SPINS = "300000"
"""What libgomp takes where no policy is said."""


def busy() -> None:
    while True:
        pass


def update_s(updates: int) -> float:
    """Return the seconds of an update in this process."""
    rng = np.random.default_rng(0)
    images = HeldImages(rng.integers(0, 256, (256, 3, 32, 32), dtype=np.uint8))
    labels = rng.integers(0, 10, 128)
    rows = TrainingRows(images, 256, np.zeros(0, np.int64), None, np.arange(128), labels, 0, 1.0)
    gan = GAN.create(make_config({"pool": {"image_size": 32}, "train": {"batch_size": 32}}), 32, 3, 10)
    with threads(len(os.sched_getaffinity(0))):
        gan.advance(rows, Alone())
        began = time.perf_counter()
        for _ in range(updates):
            gan.advance(rows, Alone())
        return (time.perf_counter() - began) / updates


def measured(updates: int, **waiting: str) -> float:
    """Return what a process says whose threads wait like this."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, "--one", "--updates", str(updates)]
    return float(subprocess.run(command, env=environment | waiting, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="processes that never wait")
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", action="store_true", help="measure in this process")
    a = parser.parse_args()
    if a.one:
        print(update_s(a.updates))
        return
    print(describe_machine())
    for beside in (0, a.busy):
        others = [multiprocessing.Process(target=busy, daemon=True) for _ in range(beside)]
        for other in others:
            other.start()
        pairs = [(measured(a.updates), measured(a.updates, GOMP_SPINCOUNT=SPINS)) for _ in range(a.runs)]
        for other in others:
            other.kill()
        asleep, spinning = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(spinning / asleep for asleep, spinning in pairs)
        print(f"beside {beside} busy: soon asleep {asleep:.2f} s, spinning {spinning:.2f} s, {ratio:.2f} x")


if __name__ == "__main__":
    main()

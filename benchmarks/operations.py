"""Count the operations of one update of G and D, which is what a GPU waits for where the networks are small.

    python benchmarks/operations.py [--size 32] [--batch 16] [--net residual] [--where]

An operation is what torch dispatches once autograd is done with it. Views and allocations start no kernel and are
counted apart. --where names the line of distal that asked for each; for a backward pass, the one that asked for that.
"""

import argparse
import traceback
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_step import CLASSES, LABELS, POOL, RandomImages

from distal.communicator import Alone
from distal.models import GAN
from distal.resolve import parse_config
from distal.train import TrainingRows

VIEWS = "view t transpose slice select expand unsqueeze squeeze detach alias split split_with_sizes as_strided permute"
OTHERS = "_unsafe_view unbind lift_fresh empty empty_like new_empty_strided"
RECORDS = "_record_function_enter_new _record_function_exit"
NO_KERNEL = frozenset(f"{VIEWS} {OTHERS} {RECORDS}".split())


class Counting(TorchDispatchMode):
    """Count what is dispatched, by name, and by the line of distal that it came from."""

    def __init__(self, where: bool) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.lines: Counter[tuple[str, str]] = Counter()
        self.where = where

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        self.counts[name] += 1
        if self.where:
            frames = [f for f in traceback.extract_stack() if "/distal/" in f.filename]
            line = f"{frames[-1].filename.rpartition('/distal/')[2]}:{frames[-1].lineno}" if frames else "?"
            self.lines[line, name] += 1
        return func(*args, **(kwargs or {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--net", default="residual")
    parser.add_argument("--where", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    ids = np.arange(LABELS, dtype=np.int64)
    rows = TrainingRows(RandomImages(arguments.size), POOL, ids[:0], None, ids, ids % CLASSES, seed=0)
    for precision in ("fp32", "bf16"):
        train = {"batch_size": arguments.batch, "precision": precision}
        gan = GAN.create(parse_config({"net": {"name": arguments.net}, "train": train}), arguments.size, 1, CLASSES)
        gan.advance(rows, Alone())  # the optimizers' state is made by the first
        with Counting(arguments.where) as counting:
            gan.advance(rows, Alone())
        total = counting.counts.total()
        idle = sum(count for name, count in counting.counts.items() if name in NO_KERNEL)
        print(f"{precision}: {total} operations, {total - idle} of which start a kernel")
        print("  " + ", ".join(f"{name} {count}" for name, count in counting.counts.most_common(20)))
        for (line, name), count in sorted(counting.lines.items()):
            print(f"  {count:4d} {name:28s} {line}")


if __name__ == "__main__":
    main()

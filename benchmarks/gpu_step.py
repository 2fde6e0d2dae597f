"""Measure a training step on a GPU: images a second, the share of the roof, and what the host spends on a step.

    python benchmarks/gpu_step.py [--size 32] [--steps 50] [--repeats 5] [KEY=VALUE ...]

A step is measured with batches that are made and carried ahead of need, and with plain copies as they are needed;
blocks of steps alternate, and medians are printed. Host: until the step has been asked for, without waiting for it;
where that is as long as the step, the GPU waits for the host. The roof is the speed of one product of large matrices in
the same arithmetic, measured here; the work of a step is that of its products and convolutions, counted by torch's
formulas.

Without a GPU the two ways are the same code, and what is printed says nothing but that the script runs:

    python benchmarks/gpu_step.py --size 8 --steps 2 --repeats 1 --matrix 256 net.name=dense train.batch_size=8
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from machine import describe_machine
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from training_step import CLASSES, LABELS, POOL, RandomImages

from distal.communicator import Alone
from distal.models import GAN
from distal.models.gan import private, reconstruction, top_k
from distal.resolve import read_config
from distal.train import TrainingRows, batch, per_row

WARM = 3
"""Steps before anything is timed: kernels are chosen, memory is taken, what is asked for ahead is learned."""


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def plain_copies() -> Iterator[None]:
    """Make and copy each batch when it is needed."""
    with ExitStack() as patches:
        patches.enter_context(patch.object(batch, "goes_ahead", lambda device: False))
        for module in (batch, per_row, private, reconstruction, top_k):
            patches.enter_context(patch.object(module, "carried", torch.Tensor.to))
        yield


def roof(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """Return the floating-point operations a second of a product of two matrices, the best of five."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        wait(device)
        started = time.perf_counter()
        for _ in range(4):
            a @ b
        wait(device)
        best = min(best, (time.perf_counter() - started) / 4)
    return 2 * side**3 / best


class Work(TorchDispatchMode):
    """Count the floating-point operations of products and convolutions, also of derivatives of derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


class Training:
    """Train one model on rows of its own."""

    def __init__(self, arguments: argparse.Namespace, device: torch.device) -> None:
        ids = np.arange(LABELS, dtype=np.int64)
        self.rows = TrainingRows(RandomImages(arguments.size), POOL, ids[:0], None, ids, ids % CLASSES, seed=0)
        self.comm, self.device = Alone(device), device
        self.gan = GAN.create(read_config(None, arguments.overrides), arguments.size, 1, CLASSES, device)
        self.steps(WARM)

    def steps(self, number: int) -> tuple[float, float]:
        """Return the seconds a step takes, and those until it has been asked for."""
        wait(self.device)
        started, host = time.perf_counter(), 0.0
        for _ in range(number):
            asked = time.perf_counter()
            self.gan.advance(self.rows, self.comm)
            host += time.perf_counter() - asked
        wait(self.device)
        return (time.perf_counter() - started) / number, host / number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50, help="steps in a timed block")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--matrix", type=int, default=8192, help="side of the matrices that the roof is measured by")
    arguments = parser.parse_args()
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    print(describe_machine())
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else "no GPU: both ways are the same code here")
    ahead = Training(arguments, device)
    with plain_copies():
        plain = Training(arguments, device)
        with Work() as counted:
            plain.steps(1)
    work, arithmetic = counted.total, ahead.gan.objective.arithmetic
    best = roof(device, torch.bfloat16 if arithmetic == "bf16" else torch.float32, arguments.matrix)
    images = ahead.gan.config.train.global_batch
    print(f"{arithmetic}, {images} images of {arguments.size} px: {work / 1e9:.2f} GFLOP a step")
    print(f"roof: {best / 1e12:.3g} TFLOP/s")
    seconds: dict[str, list[tuple[float, float]]] = {"ahead": [], "plain copies": []}
    for _ in range(arguments.repeats):
        seconds["ahead"].append(ahead.steps(arguments.steps))
        with plain_copies():
            seconds["plain copies"].append(plain.steps(arguments.steps))
    for name, measured in seconds.items():
        step, host = (statistics.median(values) for values in zip(*measured, strict=True))
        print(
            f"{name:14s} {step * 1e3:8.2f} ms a step, host {host * 1e3:8.2f} ms   {images / step:10,.0f} images/s   "
            f"{work / step / best:6.2%} of the roof"
        )


if __name__ == "__main__":
    main()

"""Time scoring in bf16 beside fp32 with the same discriminator on the same images; one ratio from one process.

    python benchmarks/scoring_precision.py [--size 32] [--rows 1024] [--block 256] [--repeats 7] [--threads 2]

Passes alternate, so that a busy machine slows both; the figure is the ratio of medians.
"""

import argparse
import statistics
import time

import torch
from machine import describe_machine

from distal.config import NetConfig
from distal.nets import build_discriminator
from distal.nets.scorer import Scorer

BAR = 1.8


def pass_seconds(scorer: Scorer, images: torch.Tensor, block: int) -> float:
    started = time.perf_counter()
    for part in torch.split(images, block):
        scorer(part)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--block", type=int, default=256, help="rows in one forward pass, pool.block_rows")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(describe_machine())
    net = NetConfig(name="residual")
    shape = (arguments.rows, 1, arguments.size, arguments.size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scorers = {
        precision: Scorer(build_discriminator(net, arguments.size, 1, 10), net, arguments.size, 1, 10, precision)
        for precision in ("fp32", "bf16")
    }
    difference = (scorers["fp32"](images)["probs"] - scorers["bf16"](images)["probs"]).abs().max()
    seconds: dict[str, list[float]] = {name: [] for name in scorers}
    for repeat in range(arguments.repeats + 1):
        for name, scorer in scorers.items():
            taken = pass_seconds(scorer, images, arguments.block)
            if repeat > 0:
                seconds[name].append(taken)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        print(f"{name}: {arguments.rows / value:8.0f} images/s")
    ratio = median["fp32"] / median["bf16"]
    print(f"largest difference of a probability {difference:.4f}")
    print(f"bf16 {ratio:.2f} x fp32; the bar is {BAR}: {'met' if ratio >= BAR else 'MISSED'}")


if __name__ == "__main__":
    main()

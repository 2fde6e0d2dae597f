"""Measure what a smaller generator costs: size, latency, distance, and how far its images are from the first's."""

import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from distal.errors import RunError
from distal.export.formats import Draw
from distal.train.latents import evaluation_latents

COMPARED = 256
"""Images that are compared pixel by pixel, the first of those that are scored."""

TIMED_ROWS, TIMES = 16, 9
"""Images drawn together, and how often, for a latency."""

ROUNDING = 1
"""Levels of 255 that the order of a sum can move a pixel that lies between two."""


@dataclass(frozen=True)
class Smaller:
    """Say what is done to a generator before it is written.

    prune: share of weights set to zero. int8: weights kept as int8. distill: width of a smaller network that learns
    from it, in `steps` updates.
    """

    prune: float | None = None
    int8: bool = False
    distill: int | None = None
    steps: int = 2000


@dataclass(frozen=True)
class Costs:
    """Hold one line: bytes, and those that zlib leaves; milliseconds an image on this CPU, by wall time; the distance,
    None where it is not known; the share of pixels that differ from the first's, and the mean difference of a pixel in
    levels of 255."""

    name: str
    size: int
    compressed: int
    milliseconds: float
    distance: float | None
    differ: float
    difference: float


def compared_rows(latent_dim: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return the latents [COMPARED, z] and labels that files are compared at."""
    return evaluation_latents(0, COMPARED, latent_dim), torch.arange(COMPARED) % classes


def require_same_images(drawn: Tensor, expected: Tensor, name: str) -> None:
    """Raise RunError where a file's images uint8 [n, C, H, W] are not those of what was written into it."""
    apart = (drawn.int() - expected.int()).abs()
    if int(apart.max()) > ROUNDING:
        raise RunError(
            f"{name}: the file draws other images than the generator it was made of (by up to {int(apart.max())} of "
            f"255 levels,\nin {float((apart > ROUNDING).float().mean()):.1%} of pixels). It was not written. Please "
            "report it, with the versions of torch, onnx and onnxruntime."
        )


def costs(
    name: str,
    data: bytes,
    draw: Draw,
    first: Tensor,
    rows: tuple[Tensor, Tensor],
    distance: Callable[[Draw], float | None],
) -> Costs:
    """Measure a file. first: the images uint8 of the generator as it was trained, at `rows`."""
    latents, labels = rows
    apart = (draw(latents, labels).int() - first.int()).abs().float()
    seconds = []
    for _ in range(TIMES):
        started = time.perf_counter()
        draw(latents[:TIMED_ROWS], labels[:TIMED_ROWS])
        seconds.append(time.perf_counter() - started)
    latency = statistics.median(seconds) * 1e3 / TIMED_ROWS
    differ = float((apart > ROUNDING).float().mean())
    return Costs(name, len(data), len(zlib.compress(data, 6)), latency, distance(draw), differ, float(apart.mean()))


def described(lines: Sequence[Costs]) -> str:
    """Return the table as text."""
    head = f"{'':32s} {'KB':>8s} {'zipped':>8s} {'ms/image':>9s} {'distance':>9s} {'pixels':>7s} {'levels':>7s}"
    rows = [
        f"{c.name:32s} {c.size / 1024:8,.0f} {c.compressed / 1024:8,.0f} {c.milliseconds:9.3f} "
        f"{'-' if c.distance is None else format(c.distance, '.2f'):>9s} {c.differ:7.1%} {c.difference:7.2f}"
        for c in lines
    ]
    notes = (
        "pixels: those that differ from the trained generator's by more than one of 255 levels; levels: how far, on "
        "average.\n"
        "ms/image: wall time on one thread of this machine, sixteen images at a time."
    )
    return "\n".join([head, *rows, notes])

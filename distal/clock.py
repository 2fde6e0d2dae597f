"""Measure what takes how long in a round."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Measure phases one after another.

    Attributes:
        seconds: by phase, to milliseconds: more digits say nothing.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Measure the block; one that raises is not kept."""
        started = time.perf_counter()
        yield
        self.seconds[phase] = float(f"{time.perf_counter() - started:.3f}")

"""Tell whoever listens how far a run is: plain facts, rendered by the command line, ignored by default; and time it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Event:
    """State one fact of a run's progress.

    round: 1-based; 0 before the first. phase: prepare (decode the pool), extractor (train or load it), reference
    (describe the held-out images), acquire, annotate, train, evaluate or commit; last comes end, however a run ends.
    done, total: units of the phase's own work (rows, steps, images, labels; of commit, rounds); total 0 where unknown.
    facts: numbers worth showing by name: of prepare the planned `rounds`, of train the losses, of commit the scores.
    """

    round: int
    phase: str
    done: int = 0
    total: int = 0
    facts: dict[str, float | str] = field(default_factory=dict)


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listen to nothing."""


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

"""Drive a run in a process of its own that ends by a real SIGKILL at a place named beforehand.

A crash is written as one line:

    event:1:train:20                        the driver hears this event (round, phase, units done)
    answer:3                                the label function is called again after 3 answers of this process
    rename:rounds/0001/metrics.json         the file is complete under its temporary name, but not yet under its own
    rename:rounds/0001/labels.parquet:4     the same, at its 4th writing in this process
    rename:stopped.json+report.html         the same of the last, once the others have had theirs

The last three are heard through Python's audit events, so that nothing of distal is replaced or wrapped.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distal import ActiveLearner
from distal.oracle import Item
from distal.progress import Event, Listener, ignore


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


class LabelFunction:
    """Answer with the last digit of the row id, and note every row that was asked in a file, durably.

    before: called with the number of answers so far, ahead of each.
    """

    def __init__(self, log: Path, before: Callable[[int], None] = lambda answered: None) -> None:
        self.log = log
        self.before = before
        self.answered = 0

    def __call__(self, item: Item) -> int:
        self.before(self.answered)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(descriptor, f"{item.row_id}\n".encode())
        os.fsync(descriptor)
        os.close(descriptor)
        self.answered += 1
        return item.row_id % 10


def at_event(place: str, action: Callable[[], None]) -> Listener:
    """Return a listener that acts once, at the event written as `1:train:20`; done counts as reached or passed."""
    number, phase, done = place.split(":")
    left = [action]

    def listen(event: Event) -> None:
        if left and (event.round, event.phase) == (int(number), phase) and event.done >= int(done):
            left.pop()()

    return listen


def at_answer(place: str, action: Callable[[], None]) -> Callable[[int], None]:
    """Return what acts when this many answers were given."""
    return lambda answered: action() if answered == int(place) else None


def at_rename(place: str, action: Callable[[], None]) -> None:
    """Act when a file is about to get its name: for the n-th time where a number follows it, or after other files."""
    paths, _, count = place.partition(":")
    awaited = paths.split("+") * int(count or 1)

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and awaited and str(arguments[1]).endswith(f"/{awaited[0]}"):
            del awaited[0]
            if not awaited:
                action()

    sys.addaudithook(hear)


def drive(tree: dict[str, Any], log: str, crash: str, address: str | None) -> None:
    """Run until the end or the crash."""
    kind, _, place = crash.partition(":")
    if kind == "rename":
        at_rename(place, die)
    listen = at_event(place, die) if kind == "event" else ignore
    function = LabelFunction(Path(log), at_answer(place, die)) if kind == "answer" else LabelFunction(Path(log))
    ActiveLearner(tree, oracle=function, address=address, listen=listen).run()

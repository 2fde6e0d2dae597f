"""Find, within a trial's own process, that its work stands still: the thread that makes it spends no CPU at all.

As with shards (`pool/pulses.py`), no limit on a round could do that: it takes as long as it takes. Computing, decoding,
waiting for a GPU, and looking whether others are done all spend some; a file system or a lock that never answers does
not. Tune's actor makes one call at a time, so nobody can ask it from outside: a thread beside the call looks.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EVERY_S = 30.0
"""How often it is looked, at most."""

LOOKS_WITHIN = 4
"""How often at least within the limit."""

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
"""Where distal's own files lie; a checkout may be called distal as well."""

LAST_WORDS_S = 30.0
"""How long a process that ends itself tries to write down why: what it cannot reach may be what hangs."""


@contextmanager
def watched(limit_s: float, hung: Callable[[str], None]) -> Iterator[None]:
    """Watch the thread that calls this until it leaves the block.

    Args:
        limit_s: seconds in which it spends no CPU, while this process was awake to look. hung: is told where it stands,
            in a thread beside it, once.
    """
    over = threading.Event()
    given = (threading.get_ident(), limit_s, over, hung)
    threading.Thread(target=_watch, args=given, name="distal-silence", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(thread: int, limit_s: float, over: threading.Event, hung: Callable[[str], None]) -> None:
    clock, every_s = time.pthread_getcpuclockid(thread), min(EVERY_S, limit_s / LOOKS_WITHIN)
    spent, silent_s, looked = time.clock_gettime(clock), 0.0, time.monotonic()
    while not over.wait(every_s):
        passed, before = time.monotonic() - looked, spent
        spent, looked = time.clock_gettime(clock), looked + passed
        silent_s = 0.0 if spent != before else silent_s + min(passed, 2 * every_s)
        if silent_s >= limit_s:
            return hung(_where(thread))


def _where(thread: int) -> str:
    """Return which line of distal a thread has called and not come back from, for people."""
    frame = sys._current_frames().get(thread)
    while frame is not None and not frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    if frame is None:
        return "outside distal"
    file = frame.f_code.co_filename.removeprefix(PACKAGE)
    return f"in {frame.f_code.co_name} (distal/{file}, line {frame.f_lineno})"


def end_process(last_words: Callable[[], None]) -> None:
    """End this process at once, whatever its other threads hang in, after its last words or an attempt at them."""
    speaking = threading.Thread(target=last_words, name="distal-last-words", daemon=True)
    speaking.start()
    speaking.join(LAST_WORDS_S)
    os._exit(1)

"""Run rounds in a thread of their own, so that the caller's event loop, a notebook's for one, goes on meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from distal.driver.mailbox import Interrupted
from distal.progress import Event, Listener

T = TypeVar("T")
END: Any = object()


class Leavable:
    """Pass events on to a listener; once the caller has left, raise Interrupted at the next one instead."""

    def __init__(self, listen: Listener) -> None:
        self._listen = listen
        self.left = False

    def __call__(self, event: Event) -> None:
        """Hear one event, in the thread of the rounds."""
        if self.left and event.phase != "end":
            raise Interrupted
        self._listen(event)


async def alongside(rounds: Generator[T, None, None], listen: Leavable) -> AsyncIterator[T]:
    """Yield what the generator yields, which one thread runs from beginning to end.

    Where the caller leaves the loop, or is cancelled, the rounds end at their next event; this waits for that, so that
    the run is free when it returns.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="distal-rounds")
    loop = asyncio.get_running_loop()
    listen.left = False
    try:
        while (value := await loop.run_in_executor(thread, next, rounds, END)) is not END:
            yield value
    finally:
        listen.left = True
        await asyncio.shield(loop.run_in_executor(thread, rounds.close))
        listen.left = False
        thread.shutdown(wait=False)

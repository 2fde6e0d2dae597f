"""Make what is asked for by number ahead of need, in a thread of its own."""

from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Generic[T]):
    """Have the numbers after the one that is taken made meanwhile, one after another, `depth` of them.

    All are made in one thread, so that what makes them needs no lock. It ends with this object.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._of: Hashable = None
        self._thread: ThreadPoolExecutor | None = None
        self._begun: dict[int, Future[T]] = {}

    def take(self, of: Hashable, number: int, make: Callable[[int], T]) -> T:
        """Return what `make` makes of a number, or its error; begin with those that follow.

        of: all that what is made depends on besides; what was made of another is dropped, as are numbers that were
        left out.
        """
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="distal-ahead")
        wanted = range(number, number + 1 + self._depth)
        usable = {at: future for at, future in self._begun.items() if of == self._of and at in wanted}
        for at in self._begun.keys() - usable.keys():
            self._begun[at].cancel()
        self._of = of
        self._begun = {at: usable.get(at) or self._thread.submit(make, at) for at in wanted}
        return self._begun.pop(number).result()

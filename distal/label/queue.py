"""Say who is shown which row next: no row to two people at a time, and to a second person where that is asked for."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice

LEASE_S = 90.0
"""Seconds without a word from a page after which the rows that it was shown are shown to others."""


class Queue:
    """Hand out the rows of one query; every step takes a time that does not depend on how many there are.

    rows: in the order of asking. clock: seconds that never go back.
    """

    def __init__(self, rows: Iterable[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(rows)
        self._again: OrderedDict[int, frozenset[str]] = OrderedDict()  # await another person; who has answered
        self._sooner: OrderedDict[int, None] = OrderedDict()  # of these, those that come before all first answers
        self._overdue: OrderedDict[int, None] = OrderedDict()  # of these, those of the batch before: they come next
        self._held: dict[str, OrderedDict[int, None]] = {}  # by page: what it is shown
        self._holder: dict[int, str] = {}
        self._shown: set[int] = set()  # of the rows that are held, those that a page shows together
        self._heard: dict[str, float] = {}
        self._person: dict[str, str] = {}  # by page
        self._clock = clock

    def __len__(self) -> int:
        """Return how many rows await an answer, shown to somebody or not; second answers are not counted."""
        return len(self._free) + sum(row_id not in self._again for row_id in self._holder)

    def add(self, rows: Iterable[int]) -> None:
        """Put the rows of another query behind those that are left."""
        self._free.update(OrderedDict.fromkeys(rows))

    def hurry(self, rows: Iterable[int]) -> None:
        """Have those of the rows of a batch that is past which await another person come before the next one's.

        Those of batches before that come when nothing else is left: who joins late would see old rows alone.
        """
        self._overdue = OrderedDict.fromkeys(row_id for row_id in rows if row_id in self._again)

    def next(self, page: str, person: str, count: int) -> list[int]:
        """Return up to `count` rows for a page: those that it is shown already, then others, which it now holds.

        page: one tab of one browser. person: whose answers it gives; a person is not asked a row a second time.
        """
        self._hear(page)
        self._person[page] = person
        held = self._held.setdefault(page, OrderedDict())
        self._hold_again(page, person, self._sooner, count)
        self._hold_again(page, person, self._overdue, count)
        while len(held) < count and self._free:
            row_id, _ = self._free.popitem(last=False)
            self._hold(page, row_id)
        self._hold_again(page, person, self._again, count)
        if not held and count:
            for row_id in self._spared(page, person)[:count]:
                self._drop(row_id)
                self._hold(page, row_id)
        return list(held)[:count]

    def _hold_again(self, page: str, person: str, rows: Iterable[int], count: int) -> None:
        """Have a page hold those of the rows that await somebody else than those who have answered, as far as missing.

        Others that it holds may be shown already, so these come after them.
        """
        missing = count - len(self._held[page])
        if missing > 0:
            open_ = (row for row in rows if person not in self._again[row] and row not in self._holder)
            for row_id in list(islice(open_, missing)):
                self._hold(page, row_id)

    def _spared(self, page: str, person: str) -> list[int]:
        """Return rows for a page that else has none, in the order of asking.

        First what another page of this person held, which was lost without a word, as in a browser that crashed; else
        half of what the page that is furthest behind was given ahead, and does not show yet.
        """
        others = [each for each in self._held if each != page]
        for other in others:
            if self._person[other] == person and self._held[other]:
                return list(self._held[other])
        ahead = [[row_id for row_id in list(self._held[each])[1:] if row_id not in self._shown] for each in others]
        most = [row_id for row_id in max(ahead, key=len, default=[]) if row_id not in self._again]
        return most[len(most) // 2 :]

    def claim(self, page: str, count: int) -> list[int]:
        """Return up to `count` rows that nobody is shown, in order, without handing them out."""
        self._hear(page)
        held = self._held.get(page, OrderedDict())
        found = [row_id for row_id in held if row_id not in self._again]
        for row_id in self._free:
            if len(found) >= count:
                break
            found.append(row_id)
        return found[:count]

    def take(self, page: str, row_ids: Iterable[int]) -> list[int]:
        """Have a page hold these rows, in this order before all that it holds; return those that others hold."""
        refused = []
        for row_id in reversed(list(row_ids)):
            if row_id in self._free:
                del self._free[row_id]
                self._hold(page, row_id)
            if self._holder.get(row_id) == page:
                self._held[page].move_to_end(row_id, last=False)
                self._shown.add(row_id)
            else:
                refused.append(row_id)
        return refused

    def give_back(self, page: str, row_ids: Iterable[int] | None = None, last: bool = False) -> None:
        """Let rows go that a page holds, all by default. last: they come after all others, as a row that is skipped."""
        held = list(self._held.get(page, {}))
        going = held if row_ids is None else [row_id for row_id in row_ids if row_id in held]
        for row_id in going if last else reversed(going):
            self._drop(row_id)
            if row_id not in self._again:
                self._free[row_id] = None
                self._free.move_to_end(row_id, last=last)
            elif last:
                self._sooner.pop(row_id, None)
                self._overdue.pop(row_id, None)
                self._again.move_to_end(row_id)

    def answered(self, row_id: int, again: Iterable[str] = (), sooner: bool = False) -> None:
        """Have a row leave the queue.

        again: who has answered, where another person is to answer as well. sooner: before all first answers, not after.
        """
        self._free.pop(row_id, None)
        self._drop(row_id)
        self._forget(row_id)
        if people := frozenset(again):
            self._again[row_id] = people
            if sooner:
                self._sooner[row_id] = None

    def ask_again(self, row_id: int) -> None:
        """Have a row whose answer was undone come first."""
        self._forget(row_id)
        if row_id not in self._holder:
            self._free[row_id] = None
            self._free.move_to_end(row_id, last=False)

    def expire(self) -> None:
        """Let go what is held by pages that are heard no more."""
        now = self._clock()
        for page in deque(page for page, heard in self._heard.items() if now - heard > LEASE_S):
            self.give_back(page)
            del self._heard[page]
            self._held.pop(page, None)
            self._person.pop(page, None)

    def _hear(self, page: str) -> None:
        self.expire()
        self._heard[page] = self._clock()

    def _hold(self, page: str, row_id: int) -> None:
        self._held.setdefault(page, OrderedDict())[row_id] = None
        self._holder[row_id] = page

    def _forget(self, row_id: int) -> None:
        self._again.pop(row_id, None)
        self._sooner.pop(row_id, None)
        self._overdue.pop(row_id, None)

    def _drop(self, row_id: int) -> None:
        page = self._holder.pop(row_id, None)
        self._shown.discard(row_id)
        if page is not None:
            self._held[page].pop(row_id, None)

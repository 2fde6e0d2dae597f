"""Keep what people decide, one whole file a decision, so that a click is on the disk before the next image shows.

    decisions/00000007.json             one decision
    decisions/00000001-00000500.json    many, put together when the page is opened again

A decision is never changed: one that is taken back stays, and a later one says that it undoes it. So the history is
kept, and what stands follows from it (`opinions.py`).
"""

import json
import logging
import re
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

from distal.errors import StorageError
from distal.run.directory import RunDirectory
from distal.run.seals import DIGEST, tree_digest, with_digest

logger = logging.getLogger(__name__)

FOLDER = "decisions"
LOOSE = 500
"""Files of one decision that are put together into one file."""

_NAME = re.compile(r"([0-9]{8,})(?:-([0-9]{8,}))?\.json")
_READS = 5  # how often the folder is listed again, where what was listed has been put together meanwhile


@dataclass(frozen=True)
class Decision:
    """Hold one decision of one person: the same label for one row or many, or that an earlier decision is undone.

    number: from 1, in the order in which they came. label: class index, None where the image is of no class or cannot
    be told; `why` then says which: `none` or `unclear`. time: unix seconds. seconds: for how long the person looked.
    suggested: whether the person had asked what the probe says. settles: made knowing other people's answers, which it
    overrules. undoes: the number of the decision that is taken back. token: what the page calls it, so that one that is
    sent again is known.
    """

    number: int
    person: str
    row_ids: tuple[int, ...]
    label: int | None
    time: float
    why: str = ""
    seconds: float = 0.0
    suggested: bool = False
    settles: bool = False
    undoes: int | None = None
    token: str = ""


class Numbered(Protocol):
    """Be a dataclass of what JSON can hold, with a number."""

    @property
    def number(self) -> int:
        """Return its place in the journal, from 1."""


R = TypeVar("R", bound=Numbered)


class Journal(Generic[R]):
    """Read what was decided as it comes, and write it; one process at a time writes.

    kind: the dataclass of an entry, `Decision` or another. folder: of the run directory.
    """

    def __init__(self, run: RunDirectory, kind: type[R], folder: str = FOLDER) -> None:
        self._run = run
        self._kind = kind
        self._folder = folder
        self._last = 0

    def new(self) -> list[R]:
        """Return the decisions that have come since the last call, in order.

        Raises:
            StorageError: one of them is missing or damaged.
        """
        for attempt in range(_READS):
            try:
                return self._read()
            except StorageError:
                # A file that was listed may have been put together with others before it was read.
                if attempt == _READS - 1:
                    raise
        raise AssertionError("unreachable")

    def append(self, decision: R) -> None:
        """Write the next decision; it is durable on return. Its number follows that of the last one read or written."""
        assert decision.number == self._last + 1
        self._run.write(f"{self._folder}/{decision.number:08d}.json", _to_bytes([decision]))
        self._last = decision.number
        if decision.number % LOOSE == 0 and self._run.local is not None:
            try:
                self.gather()
            except StorageError as error:  # the decision itself is kept; the next try is at the next start
                logger.warning("decisions are not put together for now: %s", error)

    def gather(self) -> None:
        """Put loose decisions together into one file, where there are many; called by the writer before it begins.

        On a local disk while it writes as well, or whoever waits for decisions would list a hundred thousand files ten
        times a second. On an object store that would take a person half a minute.
        """
        loose = [name for name in self._run.list(self._folder) if (found := _NAME.fullmatch(name)) and not found[2]]
        if len(loose) < LOOSE:
            return
        decisions = [decision for name in loose for decision in self._decisions(name)]
        first, last = decisions[0].number, decisions[-1].number
        if [decision.number for decision in decisions] != list(range(first, last + 1)):
            raise self._damaged(f"{first:08d}.json", f"the decisions {first} to {last} are not all there")
        self._run.write(f"{self._folder}/{first:08d}-{last:08d}.json", _to_bytes(decisions))
        for name in loose:
            self._run.delete(f"{self._folder}/{name}")

    def _read(self) -> list[R]:
        spans = []
        for name in self._run.list(self._folder):
            if found := _NAME.fullmatch(name):
                spans.append((int(found[1]), int(found[2] or found[1]), name))
        decisions: list[R] = []
        last = self._last
        for first, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
            if end <= last:
                continue
            if first > last + 1:
                raise self._damaged(f"{last + 1:08d}.json", "it is missing")
            decisions += [decision for decision in self._decisions(name) if decision.number > last]
            last = end
        self._last = last
        return decisions

    def _decisions(self, name: str) -> list[R]:
        path = f"{self._folder}/{name}"
        try:
            tree = json.loads(self._run.read(path))
            if tree[DIGEST] != tree_digest(tree):
                raise ValueError("it is not what distal wrote")
            return [self._kind(**{key: _tupled(value) for key, value in entry.items()}) for entry in tree["decisions"]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged(name, " ".join(str(error).split())[:200]) from error

    def _damaged(self, name: str, what: str) -> StorageError:
        return StorageError(
            f"{self._run.place(f'{self._folder}/{name}')} is damaged: {what}\n"
            "Restore this file from a copy; it holds what people have decided"
        )


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _to_bytes(decisions: list[R]) -> bytes:
    tree: dict[str, Any] = {"decisions": [asdict(decision) for decision in decisions]}  # type: ignore[call-overload]
    return (json.dumps(with_digest(json.loads(json.dumps(tree)))) + "\n").encode()

"""Let one process at a time hold a run directory on an object store, by a lease: an object that its holder renews.

Whoever finds a lease older than `STALE_S` takes it over. Where the store compares and swaps (`conditional.py`: s3, gs),
each change of the lease replaces the very version that was read before it: of two rivals exactly one wins, and a holder
that was passed over cannot renew. Elsewhere (hdfs) a `SettledCell` writes, waits and reads back, which tells rivals
apart only as long as a write takes less than `SETTLE_S` to be seen.

A holder trusts its lease for `TRUST_S` after a renewal, by its own clocks. Later than that it renews the lease before
it writes, so that a process that was paused finds out first. A write that is under way when a process is paused may
still land.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Protocol

from distal.errors import RunLockedError, StorageError
from distal.run.files import Files
from distal.run.locks import Holder, refused

log = logging.getLogger(__name__)

STALE_S = 60.0
"""Seconds without a renewal after which a lease is anyone's; clocks of the machines must agree far better than this."""
TRUST_S = 40.0
"""Seconds after a renewal in which its holder writes without asking; the rest of `STALE_S` is for clocks and writes."""
REFRESH_S = 15.0
"""Seconds between two renewals of a lease."""
SETTLE_S = 1.0
"""Seconds in which a write becomes visible to all on a file system that does not compare and swap."""

_tokens: set[str] = set()
"""Of the leases that this process holds or is about to take."""

Version = Any
"""What a cell gives with the bytes that it read or wrote; it is handed back to it as it is."""


class Cell(Protocol):
    """One small object that is replaced only while it is what it was when it was read."""

    def read(self) -> tuple[bytes, Version] | None:
        """Return the bytes and their version; None where there is no such object."""

    def replace(self, data: bytes, expected: Version | None) -> Version | None:
        """Write if the version is still the expected one (None: no object); None where it is not, else the new one."""

    def clear(self, expected: Version) -> None:
        """Leave an object that is no lease, if the version is still the expected one."""


class SettledCell:
    """Be a cell on a file system without conditional writes: look, write, wait, look again."""

    def __init__(self, files: Files, path: str) -> None:
        self._files = files
        self._path = path

    def read(self) -> tuple[bytes, Version] | None:
        """Return the bytes, twice: they are their own version."""
        if not self._files.has(self._path):
            return None
        data = self._files.read(self._path)
        return data, data

    def replace(self, data: bytes, expected: Version | None) -> Version | None:
        """Write, and say whether the write is still there when those of rivals would be seen."""
        if not self._is(expected):
            return None
        self._files.write(self._path, data)
        time.sleep(SETTLE_S)
        return data if self._is(data) else None

    def clear(self, expected: Version) -> None:
        """Delete the object."""
        if self._is(expected):
            self._files.delete(self._path)

    def _is(self, expected: Version | None) -> bool:
        found = self.read()
        return (found and found[1]) == expected


class Lease:
    """Hold a run directory in a role until it is given back or another takes over.

    holder: who stands in the lease. lost: whether another has taken it. Threads may share it.
    """

    def __init__(self, cell: Cell, uri: str, role: str, holder: Holder, version: Version, asked: float) -> None:
        self.holder = holder
        self.lost = False
        self._cell = cell
        self._uri = uri
        self._role = role
        self._version = version
        self._asked = asked
        self._guard = threading.Lock()

    def require(self) -> None:
        """Return where the lease is held; renew it first if the last renewal is too old to be trusted.

        Raises:
            RunLockedError: another has it. StorageError: it is old and the store does not answer.
        """
        if not self.lost and self._age() > TRUST_S:
            self.renew()
        if self.lost:
            raise RunLockedError(
                f"run {self._uri} was taken over by {_reader(self._cell)} (lock: {self._role}): this process did not "
                "renew its lease\nnothing more is written here; what was committed before is kept\n"
                "let the other one go on, or stop it and run this command again"
            )

    def renew(self) -> None:
        """Replace the lease by a fresher one; mark it lost where another's stands there.

        Raises:
            StorageError: the store does not answer.
        """
        with self._guard:
            if self.lost:
                return
            asked = time.monotonic()
            renewed = replace(self.holder, beat=time.time())
            version = self._cell.replace(renewed.to_bytes(), self._version)
            if version is None and (found := self._cell.read()) is not None and self._is_ours(found[0]):
                version = self._cell.replace(renewed.to_bytes(), found[1])  # an earlier renewal's reply was lost
            if version is None:
                self.lost = True
                log.error("the lease of %s (%s) is lost; nothing more is written", self._uri, self._role)
            else:
                self.holder, self._version, self._asked = renewed, version, asked

    def release(self) -> None:
        """Give the lease back; one that cannot be given back goes stale by itself."""
        with self._guard, suppress(StorageError):
            if not self.lost:
                self._cell.clear(self._version)

    def _age(self) -> float:
        """Return the seconds since the last renewal was sent, by the clock that shows more: one may stand still."""
        return max(time.monotonic() - self._asked, time.time() - self.holder.beat)

    def _is_ours(self, data: bytes) -> bool:
        found = Holder.from_bytes(data)
        return found is not None and found.token == self.holder.token


@contextmanager
def leased(cell: Cell, uri: str, role: str, wait_s: float) -> Iterator[Lease]:
    """Hold the lease of this role, or raise RunLockedError after `wait_s` seconds; renew it from a thread."""
    deadline = time.monotonic() + wait_s
    while not isinstance(taken := _take(cell, uri, role), Lease):
        if time.monotonic() >= deadline:
            raise refused(uri, role, taken, STALE_S)
        time.sleep(min(1.0, wait_s))
    ended = threading.Event()
    refresher = threading.Thread(target=_refresh, args=(taken, ended), name=f"lease-{role}", daemon=True)
    refresher.start()
    try:
        yield taken
    finally:
        ended.set()
        refresher.join()
        taken.release()
        _tokens.discard(taken.holder.token)


def lease_holder(data: bytes | None) -> Holder | None:
    """Return who holds the lease that these bytes are; None if it is none, is stale, or its holder is dead."""
    holder = Holder.from_bytes(data) if data is not None else None
    if holder is None or time.time() - holder.beat >= STALE_S or holder.is_dead(_tokens):
        return None
    return holder


def _take(cell: Cell, uri: str, role: str) -> "Lease | Holder":
    """Return a lease if nobody else holds one, else its holder."""
    found = cell.read()
    rival = lease_holder(found[0]) if found is not None else None
    if rival is not None:
        return rival
    asked = time.monotonic()
    mine = Holder.here()
    _tokens.add(mine.token)  # before it stands in the store, where another thread would take it for a dead one
    try:
        version = cell.replace(mine.to_bytes(), None if found is None else found[1])
    except StorageError:
        _tokens.discard(mine.token)
        raise
    if version is None:
        _tokens.discard(mine.token)
        return _reader(cell)
    return Lease(cell, uri, role, mine, version, asked)


def _reader(cell: Cell) -> Holder:
    """Return whoever stands in the cell, dead or alive."""
    found = cell.read()
    return (Holder.from_bytes(found[0]) if found is not None else None) or Holder("another host", 0, time.time())


def _refresh(lease: Lease, ended: threading.Event) -> None:
    while not lease.lost and not ended.wait(REFRESH_S):
        try:
            lease.renew()
        except StorageError as error:
            log.warning("the lease of the run could not be renewed: %s", error)

"""Let one process at a time hold a run directory in a role.

Locally the kernel's flock decides: it is given back when the holder ends, kill -9 included. On an object store a lease
decides: an object that the holder refreshes; whoever finds it older than `STALE_S` takes it over. A lease has no
compare-and-swap to stand on, so its holder looks at it with every refresh, and finds out when another has taken it.
"""

import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone

from distal.errors import RunLockedError, StorageError
from distal.storage import Files, LocalFiles, explained

log = logging.getLogger(__name__)

STALE_S = 60.0
"""Seconds without a refresh after which a lease is anyone's; clocks of the machines must agree far better than this."""
REFRESH_S = 15.0
"""Seconds between two refreshes of a lease."""
SETTLE_S = 1.0
"""Seconds between writing a lease and reading it back, in which a rival's write becomes visible."""
GRACE_S = 0.3
"""Seconds for which a held flock is tried again: `distal status` takes it for an instant to see whether it is free."""

_held: set[int] = set()


def _forget_in_child() -> None:
    """Close the locks that a forked child inherits, or they would outlive a killed parent."""
    for descriptor in list(_held):
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


@dataclass(frozen=True)
class Holder:
    """Name the process that holds a lock. since, beat: unix seconds; token: random, tells two leases apart."""

    host: str
    pid: int
    since: float
    token: str = ""
    beat: float = 0.0

    @classmethod
    def here(cls) -> "Holder":
        """Return this process as a holder, from now on."""
        now = time.time()
        return cls(socket.gethostname(), os.getpid(), now, uuid.uuid4().hex, now)

    def to_bytes(self) -> bytes:
        """Return the JSON that stands in the lock file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Holder | None":
        """Read the JSON of a lock file; None where it is not one (empty, or half-written)."""
        try:
            content = json.loads(data)
            token, beat = str(content["token"]), float(content["beat"])
            return cls(str(content["host"]), int(content["pid"]), float(content["since"]), token, beat)
        except (ValueError, KeyError, TypeError):
            return None

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.pid} on {self.host} since {since}"


@dataclass
class Lease:
    """State whether a lock that was taken is still held; a flock always is, a lease may be lost."""

    holder: Holder
    lost: bool = False


def refused(uri: str, role: str, holder: Holder | None) -> RunLockedError:
    """Say who holds the run and what to do."""
    who = str(holder) if holder else "another process"
    return RunLockedError(
        f"run {uri} is held by {who} (lock: {role})\nexpected: one {role} on a run directory\n"
        "wait until it ends, or stop it; or choose another `name` for this run"
    )


@contextmanager
def flocked(files: LocalFiles, uri: str, role: str, wait_s: float) -> Iterator[Lease]:
    """Hold the flock of this role, or raise RunLockedError after `wait_s` seconds."""
    path = files.root / f".lock-{role}"
    with explained("lock", str(path)):
        files.make_root()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + max(wait_s, GRACE_S)
        while not _try_flock(descriptor, path):
            if time.monotonic() >= deadline:
                raise refused(uri, role, Holder.from_bytes(os.pread(descriptor, 4096, 0)))
            time.sleep(0.05)
        _held.add(descriptor)
        lease = Lease(Holder.here())
        with explained("lock", str(path)):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, lease.holder.to_bytes(), 0)
        yield lease
    finally:
        # Closing gives the lock back. The file stays: unlinking it would let two processes lock two files of one name.
        _held.discard(descriptor)
        os.close(descriptor)


def flock_holder(files: LocalFiles, role: str) -> Holder | None:
    """Return who holds the flock of this role now, None if nobody does."""
    path = files.root / f".lock-{role}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if _try_flock(descriptor, path, fcntl.LOCK_SH):
            return None
        return Holder.from_bytes(os.pread(descriptor, 4096, 0)) or Holder("unknown host", 0, time.time())
    finally:
        os.close(descriptor)


def _try_flock(descriptor: int, path: object, kind: int = fcntl.LOCK_EX) -> bool:
    with explained("lock", str(path)):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextmanager
def leased(files: Files, uri: str, role: str, wait_s: float) -> Iterator[Lease]:
    """Hold the lease of this role, or raise RunLockedError after `wait_s` seconds; refresh it from a thread."""
    deadline = time.monotonic() + wait_s
    while not isinstance(taken := _take_lease(files, role), Lease):
        if time.monotonic() >= deadline:
            raise refused(uri, role, taken)
        time.sleep(min(1.0, wait_s))
    ended = threading.Event()
    refresher = threading.Thread(target=_refresh, args=(files, role, taken, ended), name=f"lease-{role}", daemon=True)
    refresher.start()
    try:
        yield taken
    finally:
        ended.set()
        refresher.join()
        with suppress(StorageError):  # a lease that cannot be given back goes stale by itself
            if not taken.lost and _read_lease(files, role) == taken.holder:
                files.delete(f".lock-{role}")


def lease_holder(files: Files, role: str) -> Holder | None:
    """Return who holds a lease that is not stale, None if nobody does."""
    holder = _read_lease(files, role)
    return holder if holder is not None and time.time() - holder.beat < STALE_S else None


def _take_lease(files: Files, role: str) -> "Lease | Holder":
    """Return a lease if nobody else holds one, else its holder."""
    rival = lease_holder(files, role)
    if rival is not None:
        return rival
    mine = Holder.here()
    files.write(f".lock-{role}", mine.to_bytes())
    time.sleep(SETTLE_S)
    seen = _read_lease(files, role)
    return Lease(mine) if seen == mine else seen or Holder("another host", 0, time.time())


def _read_lease(files: Files, role: str) -> Holder | None:
    path = f".lock-{role}"
    return Holder.from_bytes(files.read(path)) if files.has(path) else None


def _refresh(files: Files, role: str, lease: Lease, ended: threading.Event) -> None:
    """Renew the lease until it is given back; mark it lost when another has it, or when it could not be renewed."""
    while not ended.wait(REFRESH_S):
        try:
            if _read_lease(files, role) != lease.holder:
                lease.lost = True
                break
            renewed = replace(lease.holder, beat=time.time())
            files.write(f".lock-{role}", renewed.to_bytes())
            lease.holder = renewed
        except StorageError as error:
            log.warning("the lease of the run could not be renewed: %s", error)
            lease.lost = time.time() - lease.holder.beat > STALE_S
            if lease.lost:
                break
    if lease.lost:
        log.error("the lease of the run is lost; nothing more is written")

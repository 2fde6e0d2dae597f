"""Name who holds a run directory, and let one process at a time hold a local one in a role.

The kernel's flock decides: it is given back when the holder ends, kill -9 included. On NFS it holds between machines
where the server keeps locks (NFS 4; NFS 3 with lockd). Object stores have no flock: see `leases.py`.
"""

import fcntl
import json
import os
import socket
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from distal.errors import RunLockedError
from distal.run.files import LocalFiles, explained

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
    """Name the process that holds a lock.

    since, beat: unix seconds, when it was taken and when it was last renewed. token: random, tells two leases apart.
    machine: names the running kernel and the process namespace in which `pid` counts; empty where they are unknown.
    """

    host: str
    pid: int
    since: float
    token: str = ""
    beat: float = 0.0
    machine: str = ""

    @classmethod
    def here(cls) -> "Holder":
        """Return this process as a holder, from now on."""
        now = time.time()
        return cls(socket.gethostname(), os.getpid(), now, uuid.uuid4().hex, now, _machine())

    def to_bytes(self) -> bytes:
        """Return the JSON that stands in the lock file."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Holder | None":
        """Read the JSON of a lock file; None where it is not one (empty, or half-written)."""
        try:
            content = json.loads(data)
            token, beat, machine = str(content["token"]), float(content["beat"]), str(content.get("machine", ""))
            return cls(str(content["host"]), int(content["pid"]), float(content["since"]), token, beat, machine)
        except (ValueError, KeyError, TypeError):
            return None

    def is_dead(self, alive: Collection[str]) -> bool:
        """Say whether the holder is known to have ended: its process ran here, and is no more.

        alive: tokens that this process holds; another token of it could not be given back when the store was away.
        """
        if not self.machine or self.machine != _machine():
            return False
        if self.pid == os.getpid():
            return self.token not in alive
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # another user's
            return False
        return False

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"process {self.pid} on {self.host} since {since}"


def _machine() -> str:
    """Return what no two running kernels or process namespaces share; empty where the system does not say."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def refused(uri: str, role: str, holder: Holder | None, stale_s: float | None = None) -> RunLockedError:
    """Say who holds the run and what to do. stale_s: seconds after which a dead holder's lease ends by itself."""
    who = str(holder) if holder else "another process"
    ends = f" (if it is dead, in {stale_s:.0f} s at most)" if stale_s else ""
    return RunLockedError(
        f"run {uri} is held by {who} (lock: {role})\nexpected: one {role} on a run directory\n"
        f"wait until it ends{ends}, or stop it; or choose another `name` for this run"
    )


@contextmanager
def flocked(files: LocalFiles, uri: str, role: str, wait_s: float) -> Iterator[None]:
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
        with explained("lock", str(path)):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, Holder.here().to_bytes(), 0)
        yield
    finally:
        # Closing gives the lock back. The file stays: unlinking it would let two processes lock two files of one name.
        _held.discard(descriptor)
        os.close(descriptor)


@contextmanager
def flocked_folder(folder: Path) -> Iterator[bool]:
    """Hold a folder's own flock, and say whether it was free; a folder that is gone is not."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    _held.add(descriptor)
    try:
        yield _try_flock(descriptor, folder)
    finally:
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
        for _ in range(20):  # who has just taken it is about to write who that is
            if held := Holder.from_bytes(os.pread(descriptor, 4096, 0)):
                return held
            time.sleep(0.05)
        return Holder("unknown host", 0, time.time())
    finally:
        os.close(descriptor)


def _try_flock(descriptor: int, path: object, kind: int = fcntl.LOCK_EX) -> bool:
    with explained("lock", str(path)):
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

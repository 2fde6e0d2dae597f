"""Keep files whole: a write is seen complete or not at all, on a local disk or on an object store.

Locally: a temporary name, fsync, rename, fsync of the folder. The writer holds an flock on its temporary file, so that
whoever comes later can tell the leftover of a killed process from a write that is under way. On an object store: one
output stream that becomes visible when it is closed (one PUT).
"""

import errno
import fcntl
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.fs

from distal.errors import StorageAwayError, StorageError

log = logging.getLogger(__name__)

_DENIED = re.compile("ACCESS_DENIED|INVALID_ACCESS_KEY_ID|INVALID_CLIENT_TOKEN|SIGNATURE_DOES_NOT_MATCH|status 403")

_AWAY = re.compile(
    "NETWORK_CONNECTION|SLOW_DOWN|THROTTLING|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|REQUEST_TIMEOUT|status 5"
)

READS = 20
"""How often an object is read again that is replaced meanwhile."""

TEMPORARY = ".tmp-"
"""Prefix of names that are being written; no listing shows them."""


class Files(Protocol):
    """A tree of whole files under one root. Paths are relative, with ``/``, and confined to the root."""

    def write(self, path: str, data: bytes) -> None: ...  # noqa: D102
    def read(self, path: str) -> bytes: ...  # noqa: D102
    def has(self, path: str) -> bool: ...  # noqa: D102
    def list(self, path: str) -> list[str]: ...  # noqa: D102
    def modified(self, path: str) -> float: ...  # noqa: D102
    def delete(self, path: str) -> None: ...  # noqa: D102


def without_keys(place: str) -> str:
    """Return a path or URI as people may see it: user name and password of a URI are left out."""
    return re.sub(r"://[^/?#\s]*@", "://", place)


def confined(path: str) -> PurePosixPath:
    """Return the path if it stays inside the run directory, else raise StorageError."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\0" in path or "\\" in path:
        raise StorageError(f"path {path!r} leaves the run directory\nexpected: a relative path without '..'")
    return relative


@contextmanager
def explained(verb: str, where: str, size: int | None = None) -> Iterator[None]:
    """Turn an OSError or a pyarrow error into a StorageError that names the path, the bytes needed and the remedy."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        code = error.errno if isinstance(error, OSError) else None
        needed = "" if size is None else f" ({size:,} bytes needed)"
        if code in (errno.ENOSPC, errno.EDQUOT):
            what, remedy = f"no space left{needed}", "free some space there; the same command then continues"
        elif code in (errno.EACCES, errno.EPERM, errno.EROFS):
            what = ("the file system is read-only" if code == errno.EROFS else "permission denied") + needed
            remedy = "give this user access to it, or set `storage` to a folder of its own"
        elif code == errno.ENOENT and verb == "read":
            what, remedy = "there is no such file", "expected: a file that an earlier step of the run has written"
        elif code in (errno.ENOTDIR, errno.EEXIST):
            what, remedy = "a file stands where a folder is needed", "move it away, or set `storage` to another folder"
        elif _DENIED.search(str(error)):
            raise denied(verb, where, _said(error)) from error
        else:
            what = _said(error) + needed
            remedy = "check that the storage can be reached; the same command then continues"
        kind = StorageAwayError if _AWAY.search(str(error)) else StorageError
        raise kind(f"cannot {verb} {where}: {what}\n{remedy}") from error


def denied(verb: str, where: str, reason: str) -> StorageError:
    """Say that an object store refused the credentials."""
    return StorageError(
        f"cannot {verb} {where}: {reason}\n"
        "give credentials that may: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role; "
        "GOOGLE_APPLICATION_CREDENTIALS for gs://"
    )


def _said(error: BaseException) -> str:
    """Return what pyarrow or the system said, in one line of at most 300 characters."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


class LocalFiles:
    """Whole files under a local folder, which is made on the first write, readable by its owner only."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole; return when it is on the disk under its name."""
        target = self.root / confined(path)
        with explained("write", str(target), len(data)):
            self._make_folder(target.parent)
            temporary = target.parent / f"{TEMPORARY}{os.getpid()}-{uuid.uuid4().hex}"
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                with suppress(OSError):  # file systems without flock: the sweep leaves their files alone as well
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
                os.replace(temporary, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary)
                raise
            finally:
                os.close(descriptor)
            _sync_folder(target.parent)

    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        target = self.root / confined(path)
        with explained("read", str(target)):
            return target.read_bytes()

    def has(self, path: str) -> bool:
        """Say whether a file or a folder of this name is there."""
        target = self.root / confined(path)
        with explained("read", str(target)):
            return target.exists()

    def list(self, path: str) -> list[str]:
        """Return the sorted names in a folder; none if it is missing."""
        target = self.root / confined(path)
        with explained("list", str(target)):
            try:
                return sorted(name for name in os.listdir(target) if not name.startswith(TEMPORARY))
            except FileNotFoundError:
                return []

    def modified(self, path: str) -> float:
        """Return the time of a file's last change in unix seconds."""
        target = self.root / confined(path)
        with explained("read", str(target)):
            return target.stat().st_mtime

    def delete(self, path: str) -> None:
        """Remove a file or a tree; links are removed, not followed; a missing one is fine."""
        target = self.root / confined(path)
        with explained("delete", str(target)), suppress(FileNotFoundError):
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink()
            _sync_folder(target.parent)

    def make_root(self) -> None:
        """Make the root folder for its owner only, and its parents as is usual."""
        self._make_folder(self.root)

    def sweep(self) -> int:
        """Remove the temporary files of killed writers and return their number; writes under way are left alone."""
        swept = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                if name.startswith(TEMPORARY) and _abandoned(Path(folder, name)):
                    with explained("delete", str(Path(folder, name))), suppress(FileNotFoundError):
                        os.unlink(Path(folder, name))
                        swept += 1
        if swept:
            log.info("removed %d half-written files of a killed process under %s", swept, self.root)
        return swept

    def _make_folder(self, folder: Path) -> None:
        """Make a folder and its parents, those from the root down for the owner only, each synced into its parent."""
        if folder.is_dir():
            return
        inside = folder == self.root or self.root in folder.parents
        self._make_folder(folder.parent)
        with suppress(FileExistsError):  # another process may have made it just now; a file there fails later, by name
            os.mkdir(folder, 0o700 if inside else 0o777)
            _sync_folder(folder.parent)


class ObjectFiles:
    """Whole files under a prefix of a pyarrow file system whose streams become visible when they are closed."""

    def __init__(self, filesystem: Any, root: str, shown: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")
        self.shown = shown

    def write(self, path: str, data: bytes) -> None:
        """Put one object; a single write call, so that a stream that closes has all of it."""
        target = self._at(path)
        with explained("write", f"{self.shown}/{path}", len(data)):
            try:
                stream = self.filesystem.open_output_stream(target)
            except FileNotFoundError:  # file systems with real folders; an object store has none to make
                self.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
                stream = self.filesystem.open_output_stream(target)
            with stream:
                stream.write(data)

    def read(self, path: str) -> bytes:
        """Return an object's bytes, all of one version.

        pyarrow asks for the size, then for that many bytes: those of an object that was replaced by a longer one in
        between are cut short, and read again here. One request for all bytes never mixes two versions.
        """
        with explained("read", f"{self.shown}/{path}"):
            for _ in range(READS):
                with self.filesystem.open_input_file(self._at(path)) as file:
                    data = bytes(file.read_at(file.size(), 0))
                if self.filesystem.get_file_info(self._at(path)).size in (len(data), None):
                    return data
            raise OSError(errno.EAGAIN, f"it was replaced {READS} times while it was read")

    def has(self, path: str) -> bool:
        """Say whether an object, or any object under this prefix, is there."""
        with explained("read", f"{self.shown}/{path}"):
            return bool(self.filesystem.get_file_info(self._at(path)).type != pyarrow.fs.FileType.NotFound)

    def list(self, path: str) -> list[str]:
        """Return the sorted names directly under a prefix."""
        with explained("list", f"{self.shown}/{path}"):
            selector = pyarrow.fs.FileSelector(self._at(path), allow_not_found=True)
            return sorted(entry.base_name for entry in self.filesystem.get_file_info(selector))

    def modified(self, path: str) -> float:
        """Return the time of an object's last PUT in unix seconds."""
        with explained("read", f"{self.shown}/{path}"):
            found = self.filesystem.get_file_info(self._at(path))
            if found.type == pyarrow.fs.FileType.NotFound:
                raise FileNotFoundError(errno.ENOENT, "no such object")
            return found.mtime.timestamp() if found.mtime is not None else 0.0

    def delete(self, path: str) -> None:
        """Remove an object or everything under a prefix; a missing one is fine."""
        with explained("delete", f"{self.shown}/{path}"), suppress(FileNotFoundError):
            target = self._at(path)
            found = self.filesystem.get_file_info(target)
            if found.type == pyarrow.fs.FileType.Directory:
                self.filesystem.delete_dir(target)
            elif found.type != pyarrow.fs.FileType.NotFound:
                self.filesystem.delete_file(target)

    def _at(self, path: str) -> str:
        relative = confined(path)
        return self.root if not relative.parts else f"{self.root}/{relative}"


def _abandoned(temporary: Path) -> bool:
    """Say whether no living process holds this temporary file."""
    try:
        descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The run directory is the database: files that are whole, rounds that are committed, one driver at a time.

A run lies in ``<storage>/<name>/``; `docs/design.md`, section 2, draws it. State is what is on disk: whoever resumes
reads this directory and takes up the first phase whose file is missing.
"""

import builtins
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.fs

from distal.errors import RunError, StorageError
from distal.run.conditional import COMPARES_AND_SWAPS, conditional_cell
from distal.run.files import LocalFiles, ObjectFiles
from distal.run.leases import Cell, Lease, SettledCell, lease_holder, leased
from distal.run.locks import Holder, flock_holder, flocked
from distal.run.patience import Patience
from distal.run.seals import ROUND_FILES, print_seal, read_seal, sha256

log = logging.getLogger(__name__)

CONFIG = "config.yaml"
COMMITTED = "COMMITTED"
OPTIONS = {"s3": "allow_delayed_open=true", "gs": "retry_limit_seconds=20", "gcs": "retry_limit_seconds=20"}
"""What pyarrow is told unless the URI says otherwise.

It sends a small object to S3 in an upload of three requests, and tries Google for 15 minutes without a credential.
"""
_IN_ROUND = re.compile(rf"rounds/([0-9]{{4,}})/({'|'.join(map(re.escape, ROUND_FILES))}|checkpoint/[^/]+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def round_path(round: int, *parts: str) -> str:
    """Return the path of a round's file, such as ``rounds/0007/query.parquet``; rounds count from 1."""
    if round < 1:
        raise RunError(f"there is no round {round}\nexpected: rounds count from 1")
    return "/".join((f"rounds/{round:04d}", *parts))


def with_options(storage: str) -> str:
    """Return the URI that pyarrow is given."""
    option = OPTIONS.get(urlsplit(storage).scheme, "")
    if not option or option.partition("=")[0] in storage:
        return storage
    return f"{storage}{'&' if '?' in storage else '?'}{option}"


class RunDirectory:
    """Read and write the files of one run.

    Every path is relative to the run's folder, written with ``/``, and may not leave it. Every method raises
    StorageError where the storage refuses; the message names the path and what to do. An object store that stops
    answering is waited for, see `patience.py`; every attempt to write first requires that the leases are held.

    uri: the folder's path or URI, for people (a password in it is hidden). local: the folder, if it is a local one.
    """

    def __init__(self, storage: str, name: str, files: LocalFiles | ObjectFiles, uri: str) -> None:
        self.storage = storage
        self.name = name
        self.uri = uri
        self.local: Path | None = files.root if isinstance(files, LocalFiles) else None
        self._files = files
        self._leases: builtins.list[Lease] = []
        self._patiently = Patience()
        self._seals: dict[int, dict[str, str]] = {}  # of committed rounds, once they are asked for
        self._written: dict[str, str] = {}  # SHA-256 of what this process has written of rounds not yet committed

    @classmethod
    def open(cls, storage: str, name: str) -> "RunDirectory":
        """Open the directory of the run `name` under a local folder or a pyarrow.fs URI; nothing is created."""
        if not _NAME.fullmatch(name):
            raise RunError(f"run name {name!r} is refused\nexpected: 1 to 100 letters, digits, '.', '_' or '-'")
        if "\0" in storage or not storage.strip():
            raise StorageError(
                f"storage {storage!r} is refused\nexpected: a local folder or a URI such as s3://bucket/x"
            )
        parts = urlsplit(storage)
        if "://" not in storage or parts.scheme == "file":
            folder = Path(unquote(parts.path)) if parts.scheme == "file" else Path(storage)
            root = folder.expanduser().absolute() / name
            return cls(storage, name, LocalFiles(root), str(root))
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/{name}"
        try:
            filesystem, prefix = pyarrow.fs.FileSystem.from_uri(with_options(storage))
        except (OSError, pa.ArrowException, ValueError) as error:
            reason = " ".join(str(error).replace(storage, shown).split())[:200]
            raise StorageError(
                f"cannot open storage {shown}: {reason}\nexpected: a local folder, or a URI that pyarrow.fs reaches"
            ) from error
        return cls.on(filesystem, prefix, name, shown, storage)

    @classmethod
    def on(cls, filesystem: object, prefix: str, name: str, uri: str = "", storage: str = "") -> "RunDirectory":
        """Open the run `name` under a prefix of a pyarrow file system that is at hand."""
        root = f"{prefix.rstrip('/')}/{name}"
        shown = uri or root
        return cls(storage or prefix, name, ObjectFiles(filesystem, root, shown), shown)

    def __reduce__(self) -> tuple[Callable[[str, str], "RunDirectory"], tuple[str, str]]:
        """Pickle as the place it is; a process that gets it opens it anew and holds no lock."""
        storage = str(self.local.parent) if self.local is not None else self.storage
        return RunDirectory.open, (storage, self.name)

    def beside(self, name: str) -> "RunDirectory":
        """Open another folder of the same storage, wherever this process stands."""
        storage = str(self.local.parent) if self.local is not None else self.storage
        return RunDirectory.open(storage, name)

    def inside(self, folder: str, name: str) -> "RunDirectory":
        """Open the run `name` under a folder of this directory, wherever this process stands."""
        storage = str(self.local.parent) if self.local is not None else self.storage
        # A URI's options, such as ?region=eu, stay behind its path.
        path, question, options = storage.partition("?") if "://" in storage else (storage, "", "")
        return RunDirectory.open(f"{path.rstrip('/')}/{self.name}/{folder}{question}{options}", name)

    def exists(self) -> bool:
        """Say whether a run has begun here: its configuration is written."""
        return self.has(CONFIG)

    def write(self, path: str, data: bytes) -> None:
        """Write a file whole or not at all; it is durable on return. What had this name is replaced."""
        self._patiently(lambda: self._held().write(path, data))
        if _IN_ROUND.fullmatch(path):
            self._written[path] = sha256(data)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file; StorageError where they are not those that a committed round was sealed with."""
        data = self._patiently(lambda: self._files.read(path))
        expected = self.sealed(path)
        if expected and sha256(data) != expected:
            raise _changed(self.place(path))
        return data

    def has(self, path: str) -> bool:
        """Say whether a file or a folder of this name is there."""
        return self._patiently(lambda: self._files.has(path))

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if it is missing. Half-written files are not shown."""
        return self._patiently(lambda: self._files.list(path))

    def modified(self, path: str) -> float:
        """Return the time of a file's last change in unix seconds."""
        return self._patiently(lambda: self._files.modified(path))

    def delete(self, path: str) -> None:
        """Remove a file or a folder with all in it; a missing one is fine. The run's folder itself is refused."""
        if path.strip("/.") == "":
            raise StorageError(f"refused to delete the whole run {self.uri}\nremove it by hand if that is meant")
        self._patiently(lambda: self._held().delete(path))
        self._seals.clear()

    def place(self, path: str) -> str:
        """Return the full path or URI of a file, for a message to people."""
        return f"{self.uri}/{path}"

    def located(self, path: str) -> tuple[pyarrow.fs.FileSystem, str]:
        """Return the file system of a file and its path there, for readers of parts of it, on any node."""
        if isinstance(self._files, LocalFiles):
            return pyarrow.fs.LocalFileSystem(), str(self._files.root / path)
        return self._files.filesystem, f"{self._files.root}/{path}"

    @contextmanager
    def lock(self, role: str = "driver", wait_s: float = 0.0) -> Iterator[None]:
        """Hold the run in this role; a second holder gets RunLockedError naming host, process and since when.

        A lock makes the run's folder, and clears what killed writers left half-written: the driver may outlive a
        training worker, so both look. On an object store a driver that loses its lease to another writes nothing more.
        """
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,63}", role):
            raise RunError(f"lock role {role!r} is refused\nexpected: lower-case letters, digits or '-'")
        files = self._files
        if isinstance(files, LocalFiles):
            with flocked(files, self.uri, role, wait_s):
                files.sweep()
                yield
            return
        with leased(self._cell(files, role), self.uri, role, wait_s) as lease:
            self._leases.append(lease)
            try:
                yield
            finally:
                self._leases.remove(lease)

    def holder(self, role: str = "driver") -> Holder | None:
        """Return who holds the run in this role now, None if nobody does."""
        files, path = self._files, f".lock-{role}"
        if isinstance(files, LocalFiles):
            return flock_holder(files, role)
        return lease_holder(files.read(path)) if files.has(path) else None

    def _cell(self, files: ObjectFiles, role: str) -> Cell:
        path = f".lock-{role}"
        if urlsplit(self.storage).scheme in COMPARES_AND_SWAPS:
            return conditional_cell(self.storage, files, path)
        return SettledCell(files, path)

    def _held(self) -> LocalFiles | ObjectFiles:
        """Return the files to write to, once every lease that this process took is known to be held."""
        for lease in tuple(self._leases):
            lease.require()
        return self._files

    def rounds(self) -> builtins.list[int]:
        """Return the rounds that have a folder, ascending."""
        numbers = sorted(int(name) for name in self.list("rounds") if re.fullmatch("[0-9]{4,}", name))
        return [number for number in numbers if number > 0]

    def committed(self) -> builtins.list[int]:
        """Return the committed rounds, 1 to n.

        Raises:
            RunError: one of them is missing, for a later round has a folder.
        """
        begun = self.rounds()
        done = [number for number in begun if self.has(round_path(number, COMMITTED))]
        for expected in range(1, begun[-1] if begun else 1):
            if expected > len(done) or done[expected - 1] != expected:
                raise RunError(
                    f"{self.uri}: round {begun[-1]} is there, but round {expected} before it is not committed "
                    f"(no {round_path(expected, COMMITTED)}).\n"
                    f"Restore {round_path(expected)} from a copy; or, without one, move the rounds after it away."
                )
        return done

    def commit(self, round: int) -> None:
        """Mark a round as done, with the SHA-256 of its files; written after everything else of it."""
        names = [name for name in self.list(round_path(round)) if name in ROUND_FILES]
        names += [f"checkpoint/{name}" for name in self.list(round_path(round, "checkpoint"))]
        # What this process wrote is sealed as it was meant, whatever the disk has made of it.
        paths = {name: round_path(round, name) for name in names}
        digests = {name: self._written.get(path) or sha256(self.read(path)) for name, path in paths.items()}
        self.write(round_path(round, COMMITTED), print_seal(round, digests))
        self._seals[round] = digests
        for path in paths.values():
            self._written.pop(path, None)

    def read_if_written(self, path: str) -> bytes | None:
        """Return a file that not every round has, None where this one has none.

        Raises:
            StorageError: the round was committed with it, and it is missing.
        """
        if self.has(path):
            return self.read(path)
        if self.sealed(path) is not None:
            raise self.damaged(path, "it is missing from a committed round")
        return None

    def damaged(self, path: str, reason: str) -> StorageError:
        """Return the error that names a file which cannot be what distal wrote."""
        return StorageError(f"{self.place(path)} is damaged: {reason}.\nRestore this file from a copy.")

    def sealed(self, path: str) -> str | None:
        """Return the SHA-256 that a file had when its round was committed, None for a file that was in no commit.

        It is empty where the round was committed by a version that kept none.
        """
        found = _IN_ROUND.fullmatch(path)
        if found is None or path in self._written:
            return None
        round = int(found[1])
        if round not in self._seals:
            mark = round_path(round, COMMITTED)
            if not self.has(mark):
                return None
            try:
                self._seals[round] = read_seal(round, self.read(mark))
            except ValueError as error:
                raise StorageError(
                    f"{self.place(mark)} is damaged: {error}.\n"
                    "Restore it from a copy; or, in the last round, delete it: distal resume then writes it again."
                ) from None
        return self._seals[round].get(found[2])


def _changed(place: str) -> StorageError:
    """Say that a file of a committed round is not what it was, and whether it can be made again."""
    folder, name = place.rsplit("/", 1)
    if name.endswith(".parquet"):
        remedy = "Restore it from a copy; what was asked and answered cannot be made again."
    else:
        folder, name = folder.rsplit("/", 1) if folder.endswith("/checkpoint") else (folder, name)
        remedy = (
            f"Restore it from a copy; or, in the last round, delete COMMITTED and {name} of {folder}:\n"
            "distal resume then makes them again."
        )
    return StorageError(f"{place} is damaged: its SHA-256 is not the one that COMMITTED holds.\n{remedy}")

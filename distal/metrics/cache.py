"""Make an artefact once, on rank 0, keep it in the run's storage, and share it among the ranks."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from distal.communicator import Communicator
from distal.errors import DistalError, EvaluationError, StorageError

T = TypeVar("T")


class Store(Protocol):
    """Keep whole files by a relative path; a RunDirectory is one."""

    def has(self, path: str) -> bool:
        """Tell whether the file is there."""

    def read(self, path: str) -> bytes:
        """Return the file's bytes."""

    def write(self, path: str, data: bytes) -> object:
        """Write the file whole or not at all."""


class Folder:
    """Be a Store in a local folder."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    def has(self, path: str) -> bool:
        """Tell whether the file is there."""
        return (self.path / path).is_file()

    def read(self, path: str) -> bytes:
        """Return the file's bytes."""
        return (self.path / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Write to a temporary name, then rename."""
        target = self.path / path
        temporary = None
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
                temporary = file.name
                file.write(data)
            os.replace(temporary, target)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise StorageError(f"Cannot write {target}: {error.strerror}.") from error


def on_first_rank(comm: Communicator, make: Callable[[], T]) -> T:
    """Return what rank 0 makes on every rank; where it raises, every rank raises, so that none waits for ever."""
    outcome: tuple[T | None, DistalError | None] = (None, None)
    if comm.rank == 0:
        try:
            outcome = (make(), None)
        except DistalError as error:
            outcome = (None, error)
        except Exception as error:
            comm.broadcast((None, EvaluationError(f"Rank 0 failed: {type(error).__name__}: {error}")))
            raise
    value, failure = comm.broadcast(outcome)
    if failure is not None:
        raise failure
    return value  # type: ignore[no-any-return]


def cached(store: Store, path: str, comm: Communicator, make: Callable[[], bytes]) -> bytes:
    """Return the file at `path` on every rank; rank 0 makes and writes it where it is missing.

    Another run may write it meanwhile: the file that was there first is kept, so that all agree on its bytes.
    """

    def read_or_make() -> bytes:
        if not store.has(path):
            data = make()
            if not store.has(path):
                store.write(path, data)
                return data
        return store.read(path)

    return on_first_rank(comm, read_or_make)

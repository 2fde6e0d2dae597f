"""Make an artefact once, on rank 0, keep it in the run's storage, and share it among the ranks."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from distal.communicator import Communicator, on_first_rank
from distal.errors import StorageError


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

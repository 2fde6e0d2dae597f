"""Share what was made of a pool's images among runs: chunks of pixels and pieces of features on storage that all reach.

    <place>/decoded/<key>/chunk-000003.u8      a chunk as each machine's cache has it, then its CRC-32
    <place>/decoded/<key>.json                 what these pixels depend on, for people
    <place>/features/<key>/00001536-512.f16    a piece of features, float16 [n, F], then its CRC-32
    <place>/features/<key>.json                what these features depend on, and the network

The keys are those of the cache (`data.cache`, `features.rows`), so a run finds what is right for it and nothing else.
Each is written whole (`run.files`); one that is not what its CRC says is left aside with a warning, and made anew by
whoever needed it.
"""

import json
import logging
import os
import socket
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pyarrow as pa

from distal.errors import ConfigError, DistalError, RunError, StorageError
from distal.places import storage_and_name
from distal.run.directory import RunDirectory

log = logging.getLogger(__name__)

_PART_BYTES = 8 * 2**20
_MARK_BYTES = 9
_ROLE = "prepare"
_LOCK = f".lock-{_ROLE}"
DECODED, FEATURES = "decoded", "features"

Facts = Mapping[str, Any]


class PreparedFolder:
    """Be the folder or prefix at a place, a local path or a URI that pyarrow reaches; picklable.

    Raises:
        ConfigError: the place can be none. StorageError: it cannot be reached.
    """

    def __init__(self, place: str, key: str = "pool.prepared") -> None:
        try:
            self._files = RunDirectory.open(*storage_and_name(place))
        except RunError:
            raise ConfigError(
                f"{key}: {place!r} can be no folder of prepared images.\n"
                "Expected a folder or a URI whose last part has letters, digits, '.', '_' or '-' alone."
            ) from None
        self._there: dict[str, bool] = {}
        self._key = key

    @property
    def place(self) -> str:
        """Return the path or URI, for people."""
        return self._files.uri

    def names(self, folder: str) -> set[str]:
        """Return the names of the files in a folder."""
        return set(self._files.list(folder))

    def has(self, path: str) -> bool:
        """Say whether a file is there; it is not read."""
        return self._files.has(path)

    def keep(self, path: str, payload: bytes) -> None:
        """Write a file and its CRC, whole or not at all."""
        self._files.write(path, payload + checksum(zlib.crc32(payload)))

    def read(self, path: str) -> bytes | None:
        """Return the payload of a file; None where there is none, or it is damaged, which is said."""
        parts = list(self._parts(path)) if self._has_folder(path.rpartition("/")[0]) else []
        return b"".join(parts[:-1]) if parts and parts[-1] == b"" else None

    def sound(self, path: str) -> bool:
        """Say whether a file is what its CRC says."""
        last = None
        for part in self._parts(path):
            last = part
        return last == b""

    def fetch(self, path: str, target: Path) -> bool:
        """Copy the payload of a file to a local one, whole or not at all; say whether it was there and sound.

        The caller holds a lock on the target. Raises OSError where it cannot be written.
        """
        if not self._has_folder(path.rpartition("/")[0]):
            return False
        temporary, last = target.with_suffix(".tmp"), None
        try:
            with temporary.open("wb") as stream:
                for last in self._parts(path):
                    stream.write(last)
                stream.flush()
                os.fsync(stream.fileno())
            if last == b"":
                temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return last == b""

    def describe(self, kind: str, key: str, facts: Facts) -> None:
        """Write what the files under a key depend on."""
        self._files.write(f"{kind}/{key}.json", (json.dumps(facts, indent=1) + "\n").encode())

    def described(self, kind: str) -> dict[str, Facts]:
        """Return what the files under each key depend on."""
        found: dict[str, Facts] = {}
        for name in self._files.list(kind):
            if name.endswith(".json"):
                try:
                    found[name.removesuffix(".json")] = dict(json.loads(self._files.read(f"{kind}/{name}")))
                except (ValueError, TypeError):
                    log.warning("%s is damaged and left aside", self._files.place(f"{kind}/{name}"))
        return found

    def mark(self) -> bytes:
        """Return what its writer's lock says, which no other folder of this path says; empty on an object store."""
        return self._files.read(_LOCK) if self._files.local is not None and self._files.has(_LOCK) else b""

    def require(self, mark: bytes) -> None:
        """Require this to be the folder of that mark: a local path can be another folder on every node.

        Raises:
            StorageError: it is another.
        """
        if self.mark() != mark:
            raise StorageError(
                f"{self._key}: {self.place} on {socket.gethostname()}, where the pool is prepared, is not the folder "
                "of the process that asked for it.\n"
                "Take a folder that all nodes share, or a URI such as s3://bucket/prepared."
            )

    @contextmanager
    def written(self) -> Iterator[None]:
        """Hold a local folder as its one writer, and clear what a killed one left half-written there.

        An object store shows no half-written object, and two who write there write the same.

        Raises:
            RunLockedError: another process writes there.
        """
        with self._files.lock(_ROLE) if self._files.local is not None else nullcontext():
            yield

    def _has_folder(self, folder: str) -> bool:
        """Say whether anything was prepared under this key, asking once a process."""
        if folder not in self._there:
            try:
                self._there[folder] = self._files.has(folder)
            except DistalError as error:
                log.warning("pool.prepared: %s; it is done without", str(error).splitlines()[0])
                self._there[folder] = False
        return self._there[folder]

    def _parts(self, path: str) -> Iterator[bytes]:
        """Yield the payload in parts, and an empty one at the end if it is what its CRC says."""
        filesystem, place = self._files.located(path)
        try:
            with filesystem.open_input_file(place) as stream:
                left, crc = stream.size() - _MARK_BYTES, 0
                while left > 0:
                    part = bytes(stream.read(min(left, _PART_BYTES)))
                    if not part:
                        break
                    left, crc = left - len(part), zlib.crc32(part, crc)
                    yield part
                if left == 0 and bytes(stream.read(_MARK_BYTES)) == checksum(crc):
                    yield b""
                    return
        except FileNotFoundError:
            return
        except (OSError, pa.ArrowException) as error:
            log.warning("cannot read %s (%s); it is made anew here", self._files.place(path), str(error)[:200])
            return
        log.warning(
            "%s is damaged and made anew here; mend it with distal data prepare --verify", self._files.place(path)
        )


def checksum(crc: int) -> bytes:
    """Return a CRC-32 as a line of text."""
    return f"{crc:08x}\n".encode()


def differences(own: Facts, others: Sequence[Facts]) -> str:
    """Say in words where these facts differ from those of the others that come closest."""

    def differing(other: Facts) -> list[str]:
        return [name for name in own if other.get(name) != own[name]]

    closest = min(others, key=lambda other: len(differing(other)))
    said = (f"{name} {_short(closest.get(name))} there, {_short(own[name])} here" for name in differing(closest))
    return "; ".join(said)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."

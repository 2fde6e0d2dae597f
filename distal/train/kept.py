"""Keep a round's training as it stands between two updates, whole, in memory or as the bytes of one file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from distal.errors import RunError
from distal.nets.weights import header_of, pack_files, unpack_files
from distal.run.seals import sha256


@dataclass(frozen=True)
class Kept:
    """Hold the state after `done` updates of a round: the model's files by name and what `Watch.to_json` returned.

    restored: how often the round has gone back to a good state.
    """

    done: int
    restored: int
    files: Mapping[str, bytes]
    losses: Mapping[str, Any]

    def to_bytes(self, facts: Mapping[str, Any]) -> bytes:
        """Return safetensors bytes; facts: what must be the same where they are read."""
        numbers = {"done": self.done, "restored": self.restored, "losses": self.losses}
        hashes = {name: sha256(data) for name, data in self.files.items()}
        return pack_files(self.files, {"facts": dict(facts), "numbers": numbers, "sha256": hashes})

    @classmethod
    def from_bytes(cls, data: bytes, facts: Mapping[str, Any]) -> "Kept":
        """Rebuild from `to_bytes`. RunError where the bytes are damaged, or the facts are others."""
        try:
            header = header_of(data)
        except (ValueError, AttributeError):
            raise RunError("it is damaged") from None
        if header.get("facts") != dict(facts):
            raise RunError("it was kept for other labels or another configuration")
        files = unpack_files(data)
        if {name: sha256(own) for name, own in files.items()} != header["sha256"]:
            raise RunError("it is damaged")
        return cls(files=files, **header["numbers"])


class Keeper(Protocol):
    """Keep what would be lost with the process."""

    def due(self) -> bool:
        """Say whether it is time to keep again."""

    def keep(self, kept: Kept) -> None:
        """Keep this in place of what was kept before."""


class Forgetful:
    """Keep nothing."""

    def due(self) -> bool:
        """Return False."""
        return False

    def keep(self, kept: Kept) -> None:
        """Do nothing."""

"""Know a pool's files again wherever they lie, and find those that came since: rows are numbered table by table."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from distal.errors import ChangedPoolError

POOL = "pool"
REFERENCES = "references"
"""Kinds of tables: files that were found, and the example images that the run began with."""


@dataclass(frozen=True)
class FileFacts:
    """Say what a file was when it was read.

    name: as a person writes it; by its last part it is known again in another folder. size: bytes. tail_sha256: of the
    last 64 KiB or more, which hold the footer. modified_ns: since 1970, -1 where the file system does not say.
    """

    name: str
    size: int
    tail_sha256: str
    modified_ns: int

    @property
    def base(self) -> str:
        """Return the name without its folder."""
        return PurePosixPath(self.name).name


@dataclass(frozen=True)
class Table:
    """Hold files that were found together: their rows are `first_row` to `first_row + rows - 1`, in this order.

    fingerprint: sha256 (hex) over base names, sizes and tails of the files in order.
    """

    kind: str
    first_row: int
    rows: int
    fingerprint: str
    files: tuple[FileFacts, ...]


def references_of(tables: Sequence[Table]) -> Table | None:
    """Return the table of the example images that the run began with, if it began with any."""
    return next((table for table in tables if table.kind == REFERENCES), None)


def arrange(found: Sequence[FileFacts], tables: Sequence[Table]) -> list[list[int]]:
    """Return the positions in `found` of each table's files in order; where there are more files, those come last.

    Raises ChangedPoolError for a file of a table that is missing or has changed, by its name.
    """
    places: defaultdict[tuple[str, int, str], list[int]] = defaultdict(list)
    for position, file in enumerate(found):
        places[_identity(file)].append(position)
    parts: list[list[int]] = []
    lost: list[FileFacts] = []
    for table in tables:
        parts.append([])
        for file in table.files:
            same = places[_identity(file)]
            if not same:
                lost.append(file)
                continue
            # Of copies in several folders, the one that lies where it lay.
            chosen = next((position for position in same if found[position].name == file.name), same[0])
            same.remove(chosen)
            parts[-1].append(chosen)
    rest = sorted(position for same in places.values() for position in same)
    if lost:
        raise _changed(lost, {found[position].base for position in rest})
    return [*parts, rest] if rest else parts


def _identity(file: FileFacts) -> tuple[str, int, str]:
    return file.base, file.size, file.tail_sha256


def _changed(lost: Sequence[FileFacts], others: set[str]) -> ChangedPoolError:
    first = next((file for file in lost if file.base in others), lost[0])
    what = "is not what it was" if first.base in others else "is missing"
    more = f" (and {len(lost) - 1} more files)" if len(lost) > 1 else ""
    return ChangedPoolError(
        f"the pool changed since this run began: {first.name} {what}{more}, so row ids would name other images.\n"
        "Restore the files, give the place where they are (pool.path=...), or start under another name."
    )

"""Keep which files a run's row ids count, in tables.json: what arrives later is appended, nothing is changed."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distal.config import PoolConfig
from distal.data.generated import RunImages
from distal.data.growth import POOL, FileFacts, Table, references_of
from distal.data.references import References, damaged
from distal.data.table import ImageTable, open_images
from distal.errors import ChangedPoolError, PoolError, RunError, StorageError
from distal.run.directory import RunDirectory
from distal.run.seals import DIGEST, tree_digest, with_digest

TABLES = "tables.json"


@dataclass(frozen=True)
class Tables:
    """Hold a run's tables in the order of their rows. closed: none may be added, for runs are compared on these."""

    tables: tuple[Table, ...] = ()
    closed: bool = False

    def grown(self, found: Sequence[Table], uri: str) -> "Tables":
        """Return these tables and what was found beyond them.

        Raises:
            RunError: they are closed, and files have come.
        """
        new = tuple(found[len(self.tables) :])
        if self.tables and self.closed and new:
            raise RunError(
                f"{uri}: the pool changed since this sweep began: {new[0].files[0].name} is new.\n"
                "Trials are compared on one pool: restore the folder as it was, or start another sweep."
            )
        return Tables(self.tables + new, self.closed)

    def require_current(self, run: RunDirectory) -> None:
        """Require these tables to begin with those on disk: another process may have appended since they were read.

        Raises:
            RunError: they do not.
        """
        kept = read_tables(run).tables
        if [_rows(table) for table in self.tables[: len(kept)]] != [_rows(table) for table in kept]:
            raise RunError(
                f"{run.uri}: another process has taken in files of the pool since this one opened it.\n"
                f"Open the pool again: distal resume {run.uri}"
            )


def read_tables(run: RunDirectory) -> Tables:
    """Read tables.json; no tables where a version before them began the run, or nothing is begun.

    Raises:
        StorageError: it is damaged.
    """
    if not run.has(TABLES):
        return Tables()
    try:
        tree = json.loads(run.read(TABLES))
        if tree[DIGEST] != tree_digest(tree):
            raise ValueError("its digest does not fit")
        return Tables(tuple(map(_table, tree["tables"])), bool(tree["closed"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(
            f"{run.place(TABLES)} is damaged ({type(error).__name__}: {str(error)[:100]}).\n"
            "Restore this file from a copy: it says which files the run's row ids count."
        ) from None


def write_tables(run: RunDirectory, tables: Tables) -> None:
    """Write tables.json, if it says something else."""
    tree = {"tables": [asdict(table) for table in tables.tables], "closed": tables.closed}
    data = (json.dumps(with_digest(tree), indent=1) + "\n").encode()
    if not run.has(TABLES) or run.read(TABLES) != data:
        run.write(TABLES, data)


def open_tables(pool: PoolConfig, kept: Tables, uri: str, references: References | None) -> tuple[ImageTable, Tables]:
    """Open a pool whose rows are numbered as a run's tables say; return its images, and the tables with what is new.

    references: of the run, where the tables have them.

    Raises:
        RunError: a file of the tables is missing or has changed, by its name; or they are closed and files have come.
        StorageError: the references are not those of the tables.
    """
    try:
        images = _opened(pool, kept.tables, references)
    except ChangedPoolError as error:
        raise RunError(f"{uri}: {error}") from None
    return images, kept.grown(images.source.tables, uri)


def _opened(pool: PoolConfig, known: Sequence[Table], references: References | None) -> ImageTable:
    images = open_images(pool, known)
    if references is None:
        return images
    images = images.with_references(references.file, references.data)
    found, kept = references_of(images.source.tables), references_of(known)
    if found is None or kept is None or found.fingerprint != kept.fingerprint:
        raise damaged(references.file.name, "it holds other images than this run began with")
    return images


class SavedImages:
    """Give the images of an existing run's rows, from its pool as it lies now.

    fingerprint: of the run's first table, as config.yaml has it. tables: of the run, none where it wrote none.
    references: of the run, where the tables have them.
    """

    def __init__(
        self,
        run: RunDirectory,
        pool: PoolConfig,
        fingerprint: str,
        tables: Tables,
        references: References | None = None,
    ) -> None:
        self._run, self._pool = run, pool
        self._fingerprint = fingerprint
        self._tables = tables
        self._references = references

    def pixels(self, row_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return uint8 [n, C, H, W]. Raises PoolError where the pool is gone, or its files are others than then."""
        images = _opened(self._pool, self._tables.tables, self._references)
        if images.fingerprint != self._fingerprint:
            raise PoolError(
                f"{self._pool.path}: its files changed since this run began, so row ids name other images.\n"
                "Give the place of the old files: distal report RUN pool.path=..."
            )
        return RunImages(images, self._run).pixels(row_ids)


def describe_growth(tables: Tables) -> str:
    """Say how many rows came when, for people; empty where all were there from the start."""
    rows = [f"{table.rows:,}" for table in tables.tables if table.kind == POOL]
    return f"the pool grew: {rows[0]} rows, then {', then '.join(rows[1:])}" if len(rows) > 1 else ""


def _table(tree: dict[str, Any]) -> Table:
    return Table(**{**tree, "files": tuple(FileFacts(**file) for file in tree["files"])})


def _rows(table: Table) -> tuple[int, int, str]:
    return table.first_row, table.rows, table.fingerprint

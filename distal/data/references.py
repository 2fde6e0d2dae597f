"""Read example images that are none of the pool's, and keep them as one file of the run in the pool's own columns."""

import io
import json
import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from distal.config import PoolConfig
from distal.data.cache import split_images
from distal.data.decode import DecodeSpec, UndecodableError, decode
from distal.data.encryption import encryption, open_parquet
from distal.data.files import PoolFile
from distal.data.formats import Refused
from distal.data.formats.folder import read_folder
from distal.data.growth import Table, references_of
from distal.data.labels import MISSING
from distal.data.rows import RowReader
from distal.data.table import ImageTable, open_images
from distal.errors import ConfigError, PoolError, StorageError
from distal.run.directory import RunDirectory
from distal.run.given import read_given

log = logging.getLogger(__name__)

FILE = "references.parquet"
CLASS = "distal.class"
_CLASSES = b"distal.classes"
_MOST_BYTES = 2**30
_COMPARED_BYTES = 2**27
"""The largest pool that is read whole to say which of its images are references too: a second or so."""


@dataclass(frozen=True)
class References:
    """Hold the example images that a run begins with.

    file: where the run keeps them. data: the content of that file. names: the class of each image. classes: their names
    in label order, with those that none is of.
    """

    file: PoolFile
    data: bytes
    names: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Example:
    data: bytes
    path: str
    label: int
    reason: str = ""


def read_references(place: str, pool: PoolConfig, images: ImageTable, run: RunDirectory) -> References:
    """Read a folder with one subfolder a class, or Parquet files, in the form in which `run` will keep them.

    images: the pool, which says the columns and how images are decoded.

    Raises:
        ConfigError: there are none, one cannot be read or has no class, by its name; or they are too many to be held.
    """
    classes, found, encrypted = _open(place, pool, images)
    examples: list[_Example] = []
    first: dict[bytes, _Example] = {}
    problems: list[str] = []
    total = 0
    for number, example in enumerate(found):
        same = first.setdefault(example.data, example)
        problem = example.reason or _problem(example, images.spec)
        if not problem and same.label != example.label:
            problem = f"is also {same.path or 'another row'}, of another class"
        if problem:
            problems.append(f"{example.path or f'row {number}'} {problem}")
        total += len(example.data)
        if total > _MOST_BYTES:
            raise _refused(place, f"it holds more than {_MOST_BYTES / 1e9:.1f} GB; make these images part of the pool")
        examples.append(example)
    if problems:
        raise _refused(place, *problems)
    copies = _copies(images, first.keys())
    if copies:
        log.warning("query.references: %d of the pool's images are references too, byte for byte", copies)
    names = tuple(classes[example.label] for example in examples)
    return References(_file(run), _to_parquet(examples, names, classes, images, encrypted), names, classes)


def kept_references(run: RunDirectory, tables: Sequence[Table]) -> References | None:
    """Return the references that a run keeps where its tables have them. Raises StorageError: gone, or damaged."""
    if references_of(tables) is None:
        return None
    data = run.read(FILE)
    try:
        table = open_parquet(pa.BufferReader(data), run.place(FILE)).read(columns=[CLASS], use_threads=False)
        names = tuple(map(str, table.column(CLASS).to_pylist()))
        return References(_file(run), data, names, tuple(map(str, json.loads(table.schema.metadata[_CLASSES]))))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(run.place(FILE), " ".join(str(error).split())[:200]) from None


def describe_references(run: RunDirectory, tables: Sequence[Table], facts: Any) -> str:
    """Say how many of the labels that a run began with are references, for people; empty where none is.

    facts: what config.yaml keeps of all that were given.
    """
    table = references_of(tables)
    if table is None:
        return ""
    given = read_given(run, facts)
    labels = given.labels[(given.row_ids >= table.first_row) & (given.row_ids < table.first_row + table.rows)]
    counts = np.unique(labels, return_counts=True)[1]
    few, most = counts.min(initial=len(labels)), counts.max(initial=0)
    return f"{len(labels):,} of them references, {few if few == most else f'{few} to {most}'} a class"


def damaged(place: str, what: str) -> StorageError:
    """Say that a run's references are not what they were."""
    return StorageError(
        f"{place} is damaged: {what}\nrestore this file from a copy; distal writes it once, at the start"
    )


def _open(place: str, pool: PoolConfig, images: ImageTable) -> tuple[tuple[str, ...], Iterator[_Example], bool]:
    """Return the class names, the examples, one read after the other, and whether they, or the pool, are encrypted."""
    folder = Path(place)
    try:
        if folder.is_dir() and not any(folder.rglob("*.parquet")):
            records = read_folder(folder, pool.max_pixels)
            return (
                records.classes or (),
                (
                    _Example(b"", item.path, MISSING, item.reason)
                    if isinstance(item, Refused)
                    else _Example(item.data, item.path, MISSING if item.label is None else item.label)
                    for item in records.items
                ),
                images.source.encrypted,
            )
        label = pool.label_column or "label"
        shape = {"image_size": images.image_size, "channels": images.channels}
        own = {"path": place, "label_column": label, "classes": None}
        table = open_images(pool.model_copy(update=shape | own))
        if not table.has_labels:
            raise _refused(place, f"it has no column '{label}' of classes")
        return table.classes or (), _rows(table), images.source.encrypted or table.source.encrypted
    except (PoolError, OSError) as error:
        said = str(error).replace("pool.path", "query.references").replace("pool path", "query.references")
        raise ConfigError(said if said.startswith("query.references") else f"query.references: {said}") from None


def _rows(table: ImageTable) -> Iterator[_Example]:
    for start in range(0, table.rows, table.block_rows):
        ids = np.arange(start, min(start + table.block_rows, table.rows), dtype=np.int64)
        for (data, path), label in zip(table.originals(ids), table.labels(ids).tolist(), strict=True):
            yield _Example(data, path, label)


def _problem(example: _Example, spec: DecodeSpec) -> str:
    if example.label == MISSING:
        return "has no class"
    try:
        decode(example.data, spec)
    except UndecodableError as error:
        return str(error)
    return ""


def _copies(images: ImageTable, wanted: Collection[bytes]) -> int:
    """Return how many images of the pool are among the wanted ones; of a large pool, which is not read for it, 0."""
    if images.source.size_bytes > _COMPARED_BYTES:
        return 0
    columns = images.columns
    arrays = RowReader(images.local_source(), columns.image).stream(0, images.rows)
    return sum(data in wanted for array in arrays for data in split_images(array, columns.nested)[0])


def _to_parquet(
    examples: list[_Example], names: tuple[str, ...], classes: tuple[str, ...], images: ImageTable, encrypted: bool
) -> bytes:
    """Return a file with the columns of the pool's first one; the hidden labels are null: nothing is hidden here."""
    columns, first = images.columns, images.local_source().files[0]
    with first.filesystem.open_input_file(first.path) as stream:
        schema = open_parquet(stream, first.name).schema_arrow
    kind = schema.field(columns.image).type
    encoded = [{"bytes": e.data, "path": e.path} if columns.nested else e.data for e in examples]
    table = {columns.image: pa.array(encoded, kind)}
    if columns.label is not None:
        table[columns.label] = pa.nulls(len(examples), schema.field(columns.label).type)
    table[CLASS] = pa.array(names, pa.string())
    sink = io.BytesIO()
    written = pa.table(table).replace_schema_metadata({_CLASSES: json.dumps(classes)})
    sealed: dict[str, Any] = {"encryption_properties": encryption()} if encrypted else {}
    pq.write_table(written, sink, row_group_size=1000, use_dictionary=False, write_statistics=False, **sealed)
    return sink.getvalue()


def _file(run: RunDirectory) -> PoolFile:
    filesystem, path = run.located(FILE)
    return PoolFile(run.place(FILE), path, filesystem)


def _refused(place: str, problem: str, *more: str) -> ConfigError:
    return ConfigError(
        f"query.references: {place} cannot be used: {problem}" + (f" (and {len(more)} more)" if more else "") + "\n"
        "Expected a folder with one subfolder a class, or a Parquet file of images with a label column, as a pool is."
    )

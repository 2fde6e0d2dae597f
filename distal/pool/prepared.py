"""Say what of a pool lies prepared for all runs, and in words why a run finds none of it."""

import logging
from collections.abc import Iterable, Mapping

import torch

from distal.data.prepared import DECODED, FEATURES, PreparedFolder, differences
from distal.data.table import ImageTable
from distal.errors import UntrainedError
from distal.features.rows import EmbeddedRows
from distal.pool.sight import Frozen

logger = logging.getLogger(__name__)


def prepared_facts(images: ImageTable, network: Frozen | None) -> dict[str, float | str]:
    """Return, for an event, how much of a run's pixels and features lies in `pool.prepared`; warn where nothing fits.

    Empty where the run has no such folder. network: None where the run sees no features.

    Raises:
        StorageError: the folder cannot be reached.
    """
    if images.prepared is None:
        return {}
    chunks = every_chunk(images)
    tables = len(images.source.tables)
    said = []
    pixels = [pixel_path(images, chunk) for chunk in chunks]
    said += _found(images.prepared, DECODED, "pixels", pixels, images.decoded.facts(tables))
    rows = _embedded(images, network)
    if rows is not None:
        pieces = [path for chunk in chunks for path in piece_paths(images, rows, chunk)]
        said += _found(images.prepared, FEATURES, "features", pieces, rows.facts(tables))
    return {"prepared": ", ".join(said) or "nothing that fits"}


def every_chunk(images: ImageTable) -> range:
    """Return the ordinals of the pool's chunks."""
    return range(images.decoded.chunks)


def pixel_path(images: ImageTable, chunk: int) -> str:
    """Return where the pixels of a chunk lie prepared."""
    return images.decoded.name(chunk)


def piece_paths(images: ImageTable, rows: EmbeddedRows | None, chunk: int) -> list[str]:
    """Return where the pieces of features lie that begin in a chunk; none where there are no features."""
    if rows is None:
        return []
    size = images.decoded.chunk_rows
    first, last = (-(-row // rows.piece_rows) * rows.piece_rows for row in (chunk * size, (chunk + 1) * size))
    return [rows.name(piece) for piece in range(first, min(last, images.rows), rows.piece_rows)]


def present(folder: PreparedFolder, paths: Iterable[str]) -> set[str]:
    """Return those of these files that are there, by one listing of each folder."""
    wanted = set(paths)
    folders = {path.rpartition("/")[0] for path in wanted}
    return wanted & {f"{place}/{name}" for place in folders for name in folder.names(place)}


def _found(folder: PreparedFolder, kind: str, what: str, paths: list[str], facts: Mapping[str, object]) -> list[str]:
    """Return how much of this kind is there; where that is nothing, warn and return nothing."""
    there = len(present(folder, paths))
    if there:
        return [f"{what} of all rows" if there == len(paths) else f"{what} of {there / len(paths):.1%} of the rows"]
    others = list(folder.described(kind).values())
    why = (differences(facts, others) if others else "") or f"no {what} lie there"
    logger.warning("pool.prepared: %s has no %s for this run, which makes them anew: %s", folder.place, what, why)
    return []


def _embedded(images: ImageTable, network: Frozen | None) -> EmbeddedRows | None:
    """Return the rows as this process would see them; None for a network that the run has yet to train."""
    try:
        return None if network is None else EmbeddedRows(images, network(torch.device("cpu")))
    except UntrainedError:
        return None

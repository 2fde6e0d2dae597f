"""Keep the labels that a run began with: they are given, not asked, and every round trains on them."""

import hashlib
import io
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.errors import StorageError
from distal.run.directory import RunDirectory
from distal.run.ledger import Labels, RowIds

log = logging.getLogger(__name__)

GIVEN = "given.parquet"
SCHEMA = pa.schema([pa.field("row_id", pa.int64(), nullable=False), pa.field("label", pa.int64(), nullable=False)])


def given_labels(row_ids: RowIds, labels: RowIds) -> Labels:
    """Return labels of round 0, before any was asked."""
    return Labels(row_ids, labels, np.zeros(len(row_ids), dtype=np.int64))


def labels_before(labels: Labels, round: int) -> Labels:
    """Return those that were there when this round's query was chosen."""
    earlier = labels.rounds < round
    return Labels(labels.row_ids[earlier], labels.labels[earlier], labels.rounds[earlier])


def joined(one: Labels, other: Labels) -> Labels:
    """Return the labels of both, in this order."""
    return Labels(
        np.concatenate([one.row_ids, other.row_ids]),
        np.concatenate([one.labels, other.labels]),
        np.concatenate([one.rounds, other.rounds]),
    )


def to_parquet(given: Labels) -> bytes:
    """Return the content of given.parquet."""
    sink = io.BytesIO()
    pq.write_table(pa.table([pa.array(given.row_ids), pa.array(given.labels)], schema=SCHEMA), sink)
    return sink.getvalue()


def keep(given: Labels, usable: npt.NDArray[np.bool_], why: str) -> Labels:
    """Return the labels of usable rows; say how many are left out, and why: what their images are."""
    left_out = int((~usable).sum())
    if left_out:
        log.warning("query.labels: %d of %d labels are left out; their images are %s", left_out, len(usable), why)
    return given_labels(given.row_ids[usable], given.labels[usable])


def facts_of(given: Labels) -> dict[str, Any] | None:
    """Return what config.yaml keeps of the labels: their number, and a hash of row ids and labels as int64."""
    if len(given.row_ids) == 0:
        return None
    content = np.concatenate([given.row_ids, given.labels]).astype("<i8").tobytes()
    return {"labels": len(given.row_ids), "sha256": hashlib.sha256(content).hexdigest()}


def number_given(resolved: Mapping[str, Any]) -> int:
    """Return how many labels the run began with, from what config.yaml keeps under `resolved`."""
    facts = resolved.get("given")
    number = facts.get("labels") if isinstance(facts, dict) else None
    return number if isinstance(number, int) else 0


def read_given(run: RunDirectory, facts: Any) -> Labels:
    """Read given.parquet back; no labels where there is none. facts: what config.yaml keeps of it.

    Raises StorageError where the file is gone, or not what the run began with.
    """
    empty = np.empty(0, dtype=np.int64)
    given = given_labels(empty, empty)
    if facts is None:
        return given
    try:
        table = pq.read_table(pa.BufferReader(run.read(GIVEN)), use_threads=False, pre_buffer=False).cast(SCHEMA)
        given = given_labels(table.column("row_id").to_numpy(), table.column("label").to_numpy())
    except (pa.ArrowException, ValueError, OSError) as error:
        raise _damaged(run, " ".join(str(error).split())[:200]) from error
    if facts_of(given) != facts:
        raise _damaged(run, "it holds other labels than this run began with")
    return given


def _damaged(run: RunDirectory, what: str) -> StorageError:
    return StorageError(
        f"{run.place(GIVEN)} is damaged: {what}\nrestore this file from a copy; distal writes it once, at the start"
    )

"""Say what is wrong with a query or with answers: on the disk, where distal did not write it, or about to be there."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from distal.errors import OracleError, RunError

if TYPE_CHECKING:
    from distal.run.ledger import Answer, Query


def wrong_in_query(table: Any) -> str:
    """Say what no query that distal wrote holds; empty where all is well."""
    if any(table.column(name).null_count for name in ("row_id", "strategy")):
        return "a row without row_id or strategy"
    row_ids = table.column("row_id").to_numpy()
    if len(row_ids) and row_ids.min() < 0:
        return f"row {row_ids.min()} is asked for, but rows count from 0"
    return "it asks for a row twice" if len(np.unique(row_ids)) != len(row_ids) else ""


def wrong_in_labels(table: Any, query: "Query", classes: int | None) -> str:
    """Say what no answers that distal wrote hold; empty where all is well."""
    if wrong := wrong_in_corrections(table, classes):
        return wrong
    if len(other := np.setdiff1d(table.column("row_id").to_numpy(), query.row_ids)):
        return f"row {other[0]} is answered, but round {query.round} does not ask for it"
    return ""


def wrong_in_corrections(table: Any, classes: int | None) -> str:
    """Say what no answers to any rows that distal wrote hold; empty where all is well."""
    for name in table.column_names:
        if name != "label" and table.column(name).null_count:
            return f"an answer without {name}"
    row_ids, costs = table.column("row_id").to_numpy(), table.column("cost").to_numpy()
    if len(np.unique(row_ids)) != len(row_ids):
        return "it answers a row twice"
    if not (np.isfinite(costs) & (costs >= 0)).all():
        return "a cost that is negative or not finite"
    labels = table.column("label").drop_null().to_numpy()
    for label in (int(labels.min()), int(labels.max())) if len(labels) else ():
        if label < 0 or (classes is not None and label >= classes):
            return f"label {label}; expected 0 {'or more' if classes is None else f'to {classes - 1}'}"
    return ""


def check_query(query: "Query") -> None:
    """Raise RunError where a query asks for what are no rows, or for a row twice."""
    ids = query.row_ids
    if ids.ndim != 1 or ids.dtype != np.int64 or query.scores.shape != ids.shape or (len(ids) and ids.min() < 0):
        raise RunError(
            f"round {query.round}: row ids {ids.dtype} {list(ids.shape)}, scores {list(query.scores.shape)} are none\n"
            "expected: int64 [k], none negative, and float32 [k]"
        )
    if len(np.unique(ids)) != len(ids):
        raise RunError(f"round {query.round} asks for a row twice\nexpected: {len(ids)} different rows")


def check_answer(answer: "Answer", round: int, asked: set[int]) -> None:
    """Raise OracleError where an answer is to a row that the round does not ask, or is malformed. asked: row ids."""
    if answer.row_id not in asked:
        raise OracleError(f"row {answer.row_id} was answered, but round {round} does not ask for it")
    if answer.label is not None and answer.label < 0:
        raise OracleError(
            f"row {answer.row_id}: label {answer.label} is refused\nexpected: 0 or more, or None to decline"
        )
    if not (math.isfinite(answer.time) and math.isfinite(answer.cost) and answer.cost >= 0):
        raise OracleError(
            f"row {answer.row_id}: time {answer.time} or cost {answer.cost} is refused\nexpected: finite, cost >= 0"
        )

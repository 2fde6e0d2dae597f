"""The ledger of labels: what was asked and what was answered, one pair of Parquet files a round.

A label that was answered is never asked again and never lost: `record` returns when the answer is on the disk, the
first answer to a row wins, and a row that is in any query is refused in another. Files are sorted in the order of the
query, so that their bytes do not depend on the order in which answers came.
"""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.errors import RunError, StorageError
from distal.run.checks import check_answer, check_query, wrong_in_corrections, wrong_in_labels, wrong_in_query
from distal.run.directory import RunDirectory, round_path
from distal.run.generated import FIRST, is_generated
from distal.run.seals import sha256

RowIds = npt.NDArray[np.int64]

QUERY_SCHEMA = pa.schema([("row_id", pa.int64()), ("score", pa.float32()), ("strategy", pa.string())])
LABELS_SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        ("label", pa.int64()),
        ("annotator", pa.string()),
        ("time", pa.timestamp("us", "UTC")),
        ("cost", pa.float64()),
    ]
)
CORRECTIONS = "corrections.parquet"
DIGEST = b"distal.sha256"
"""Key of the Parquet file's own metadata: the SHA-256 of its columns, for neither format nor storage checks all."""


@dataclass(frozen=True)
class Query:
    """Ask for labels. round: from 1; row_ids: int64 [k], no row twice, generated ones last; scores: float32 [k];
    strategy: the name of what chose the pool's rows."""

    round: int
    row_ids: RowIds
    scores: npt.NDArray[np.float32]
    strategy: str


@dataclass(frozen=True)
class Answer:
    """Answer one row. label: class index, None where the annotator declined; time: unix seconds; cost: at least 0."""

    row_id: int
    label: int | None
    annotator: str
    time: float
    cost: float = 1.0


@dataclass(frozen=True)
class Labels:
    """Labels of the run so far: row_ids, labels and rounds, int64 [n] each, in the order of asking."""

    row_ids: RowIds
    labels: RowIds
    rounds: RowIds

    def digest(self) -> str:
        """Return a hash of rows and labels: a label may be corrected while their number stays."""
        return sha256(self.row_ids.tobytes() + self.labels.tobytes())


class Ledger:
    """Keep the queries and answers of a run directory. The caller holds the run's driver lock while it writes.

    classes: the number of classes; with it, a label on the disk that is none of theirs is damage.
    """

    def __init__(self, run: RunDirectory, classes: int | None = None) -> None:
        self._run = run
        self._classes = classes
        self._queries: dict[int, Query] = {}  # a query never changes once it is written
        self._complete: dict[int, list[Answer]] = {}  # nor do the answers of a round that are all there
        self._corrected: dict[int, list[Answer]] = {}  # nor corrections

    def write_query(self, query: Query) -> None:
        """Write what will be asked, before anyone is asked. Again with the same rows is fine.

        Raises RunError if the round asks for other rows already, or if a row is, or was, asked elsewhere.
        """
        check_query(query)
        before = self.read_query(query.round)
        if before is not None:
            if not np.array_equal(before.row_ids, query.row_ids):
                where = self._run.place(round_path(query.round, "query.parquet"))
                raise RunError(f"round {query.round} already asks for other rows\nits query stands in {where}")
            return
        twice = np.intersect1d(query.row_ids, self.asked())
        if len(twice):
            raise RunError(
                f"round {query.round} asks for {len(twice)} rows that were asked before, such as row {twice[0]}\n"
                "expected: a row is asked once in a run"
            )
        chosen_by = np.where(is_generated(query.row_ids), "generated", query.strategy).astype(object)
        columns = [query.row_ids, query.scores, chosen_by]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, QUERY_SCHEMA, strict=True)]
        path = round_path(query.round, "query.parquet")
        self._run.write(path, _parquet(pa.table(arrays, schema=QUERY_SCHEMA)))

    def read_query(self, round: int) -> Query | None:
        """Return what a round asks, None if it has not got so far."""
        if round not in self._queries:
            table = self._table(round, "query.parquet", QUERY_SCHEMA)
            if table is None:
                return None
            row_ids, scores, strategies = (table.column(name) for name in QUERY_SCHEMA.names)
            if wrong := wrong_in_query(table):
                raise self._damaged(round_path(round, "query.parquet"), wrong)
            strategy = strategies[0].as_py() if len(strategies) else ""
            self._queries[round] = Query(
                round, row_ids.to_numpy().astype(np.int64), scores.to_numpy().astype(np.float32), strategy
            )
        return self._queries[round]

    def record(self, round: int, answers: Sequence[Answer]) -> None:
        """Keep answers; they are durable on return. A row that has an answer keeps its first one.

        Raises OracleError, with nothing kept, if an answer is for a row that the round does not ask, or is malformed.
        """
        query = self.read_query(round)
        if query is None:
            raise RunError(f"round {round} has no query, so it takes no answers\nwrite its query first")
        known = {answer.row_id: answer for answer in self.answers(round)}
        before = len(known)
        asked = {int(row_id) for row_id in query.row_ids}
        for answer in answers:
            check_answer(answer, round, asked)
            known.setdefault(int(answer.row_id), answer)
        if len(known) == before:
            return
        ordered = [known[row_id] for row_id in query.row_ids.tolist() if row_id in known]
        self._run.write(round_path(round, "labels.parquet"), _parquet(_labels_table(ordered)))

    def answers(self, round: int) -> list[Answer]:
        """Return a round's answers in the order of its query."""
        if round in self._complete:
            return list(self._complete[round])
        table = self._table(round, "labels.parquet", LABELS_SCHEMA)
        if table is None:
            return []
        query = self.read_query(round)
        if query is None:
            raise self._damaged(round_path(round, "query.parquet"), "it is missing, but has answers in labels.parquet")
        if wrong := wrong_in_labels(table, query, self._classes):
            raise self._damaged(round_path(round, "labels.parquet"), wrong)
        answers = _answers(table)
        if len(answers) == len(query.row_ids):
            self._complete[round] = answers
        return list(answers)

    def pending(self, query: Query) -> RowIds:
        """Return the rows of a query that have no answer yet, int64, in its order."""
        answered = np.array([answer.row_id for answer in self.answers(query.round)], dtype=np.int64)
        return query.row_ids[~np.isin(query.row_ids, answered)]

    def labels(self) -> Labels:
        """Return every label of the pool's rows, of rounds committed or not, as corrected since; no declined row."""
        return self._answered(generated=False)

    def of_generated(self) -> Labels:
        """Return all answers to images that the run has drawn itself, as corrected since; -1: nothing of these."""
        return self._answered(generated=True)

    def _answered(self, generated: bool) -> Labels:
        corrected = self._corrections()
        every = ((corrected.get(a.row_id, a), round) for round in self._run.rounds() for a in self.answers(round))
        rows = [
            (answer.row_id, -1 if answer.label is None else answer.label, round)
            for answer, round in every
            if (answer.row_id >= FIRST) == generated and (generated or answer.label is not None)
        ]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return Labels(columns[:, 0].copy(), columns[:, 1].copy(), columns[:, 2].copy())

    def correct(self, round: int, answers: Sequence[Answer]) -> None:
        """Replace answers of earlier rounds from this round on; they are durable on return.

        Done once in a round, before its query is written: again, or without answers, changes nothing. Raises
        OracleError if an answer is to a row that has none, or is malformed.
        """
        path = round_path(round, CORRECTIONS)
        if not answers or self._run.has(path):
            return
        answered = {answer.row_id for answer in self.corrected()}
        for answer in answers:
            check_answer(answer, round, answered)
        self._run.write(path, _parquet(_labels_table(answers)))

    def corrected(self) -> list[Answer]:
        """Return the answers of all rounds, each as it was corrected last."""
        corrected = self._corrections()
        every = (answer for round in self._run.rounds() for answer in self.answers(round))
        return [corrected.get(answer.row_id, answer) for answer in every]

    def _corrections(self) -> dict[int, Answer]:
        found: dict[int, Answer] = {}
        for round in self._run.rounds():
            if round not in self._corrected:
                table = self._table(round, CORRECTIONS, LABELS_SCHEMA)
                if table is None:
                    if self.read_query(round) is not None:  # before which they are written
                        self._corrected[round] = []
                    continue
                if wrong := wrong_in_corrections(table, self._classes):
                    raise self._damaged(round_path(round, CORRECTIONS), wrong)
                self._corrected[round] = _answers(table)
            found |= {answer.row_id: answer for answer in self._corrected[round]}
        return found

    def asked(self) -> RowIds:
        """Return every row that any query asks for, int64 ascending; none of them is asked again."""
        queries = [query.row_ids for round in self._run.rounds() if (query := self.read_query(round)) is not None]
        return np.unique(np.concatenate([np.empty(0, np.int64), *queries]))

    def rounds_of_rows(self) -> dict[int, int]:
        """Return the round that asks for each row that was asked, by row id."""
        queries = [(round, self.read_query(round)) for round in self._run.rounds()]
        return {row_id: round for round, query in queries if query is not None for row_id in query.row_ids.tolist()}

    def cost(self) -> float:
        """Return what all answers cost, declined ones included, and those that were asked again."""
        return math.fsum(answer.cost for answer in self.corrected())

    def count(self) -> int:
        """Return the number of answers, declined ones included."""
        return sum(len(self.answers(round)) for round in self._run.rounds())

    def _table(self, round: int, name: str, schema: Any) -> Any:
        """Read a round's file; None if it is missing; StorageError if it is not what distal wrote."""
        path = round_path(round, name)
        if not self._run.has(path):
            if self._run.sealed(path) is not None:
                raise self._damaged(path, "it is missing from a committed round")
            return None
        data = self._run.read(path)
        try:
            read = pq.read_table(pa.BufferReader(data), use_threads=False, pre_buffer=False)
            table = read.select(schema.names).cast(schema)
            digest = (read.schema.metadata or {}).get(DIGEST)
            if digest not in (None, _digest(table)):
                raise ValueError("its rows are not those that distal wrote")
            return table
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            raise self._damaged(path, " ".join(str(error).split())[:200]) from error

    def _damaged(self, path: str, what: str) -> StorageError:
        return StorageError(
            f"{self._run.place(path)} is damaged: {what}\n"
            "Restore this file from a copy; distal never leaves one half-written"
        )


def _answers(table: Any) -> list[Answer]:
    microseconds = table.column("time").cast(pa.int64()).to_pylist()
    columns = [table.column(name).to_pylist() for name in ("row_id", "label", "annotator", "cost")]
    return [
        Answer(row_id, label, annotator, us / 1e6, cost)
        for row_id, label, annotator, cost, us in zip(*columns, microseconds, strict=True)
    ]


def _labels_table(answers: Sequence[Answer]) -> Any:
    columns: list[list[Any]] = [
        [answer.row_id for answer in answers],
        [answer.label for answer in answers],
        [answer.annotator for answer in answers],
        [round(answer.time * 1e6) for answer in answers],
        [float(answer.cost) for answer in answers],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, LABELS_SCHEMA, strict=True)]
    return pa.table(arrays, schema=LABELS_SCHEMA)


def _parquet(table: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({DIGEST: _digest(table)}), sink)
    return sink.getvalue()


def _digest(table: Any) -> bytes:
    """Return the SHA-256 of the values, whatever the bytes of the file that they lie in."""
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in table.columns]
    return sha256(json.dumps([column.to_pylist() for column in plain]).encode()).encode()

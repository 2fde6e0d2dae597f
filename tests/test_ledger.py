"""The ledger: no answered label is lost, no row is asked twice, bytes do not depend on the order of arrival."""

import errno
import io
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distal.errors import OracleError, RunError, StorageError
from distal.run import files as storage
from distal.run.directory import RunDirectory
from distal.run.ledger import LABELS_SCHEMA, QUERY_SCHEMA, Answer, Ledger, Query


def query(*row_ids: int, round: int = 1) -> Query:
    ids = np.array(row_ids, dtype=np.int64)
    return Query(round, ids, np.linspace(1, 0, len(ids), dtype=np.float32), "margin")


def answer(row_id: int, label: int | None = 0, **more) -> Answer:
    return Answer(row_id, label, "test", 1_700_000_000.25, **more)


@pytest.fixture(params=["local", "objects"])
def run(request, tmp_path):
    if request.param == "local":
        return RunDirectory.open(str(tmp_path), "r")
    return RunDirectory.on(pyarrow.fs._MockFileSystem(), "bucket", "r")


def test_a_query_is_read_back_as_it_was_written(run):
    asked = query(30, 10, 20)
    Ledger(run).write_query(asked)
    back = Ledger(run).read_query(1)
    assert back.row_ids.tolist() == [30, 10, 20]
    assert back.scores.tobytes() == asked.scores.tobytes()
    assert (back.round, back.strategy) == (1, "margin")
    assert (back.row_ids.dtype, back.scores.dtype) == (np.int64, np.float32)
    assert Ledger(run).read_query(2) is None


def test_answers_come_back_in_the_order_of_the_query(run):
    ledger = Ledger(run)
    ledger.write_query(query(30, 10, 20))
    ledger.record(1, [answer(20, 2, cost=2.5)])
    ledger.record(1, [answer(10, None), answer(30, 1)])
    assert Ledger(run).answers(1) == [answer(30, 1), answer(10, None), answer(20, 2, cost=2.5)]


def test_pending_rows_keep_their_order_and_declined_ones_are_not_asked_again(run):
    ledger = Ledger(run)
    asked = query(30, 10, 20, 40)
    ledger.write_query(asked)
    assert ledger.pending(asked).tolist() == [30, 10, 20, 40]
    ledger.record(1, [answer(10, None), answer(40)])
    assert ledger.pending(asked).tolist() == [30, 20]
    assert ledger.pending(asked).dtype == np.int64


def test_sums_go_over_all_rounds_and_count_declined_answers(run):
    ledger = Ledger(run)
    ledger.write_query(query(5, 3, round=1))
    ledger.write_query(query(9, 1, round=2))
    ledger.record(1, [answer(5, 1, cost=2.0), answer(3, None, cost=0.5)])
    ledger.record(2, [answer(9, 0)])
    labels = ledger.labels()
    assert (labels.row_ids.tolist(), labels.labels.tolist(), labels.rounds.tolist()) == ([5, 9], [1, 0], [1, 2])
    assert labels.row_ids.dtype == labels.labels.dtype == labels.rounds.dtype == np.int64
    assert ledger.asked().tolist() == [1, 3, 5, 9]
    assert (ledger.count(), ledger.cost()) == (3, 3.5)


def test_an_empty_ledger_is_empty(run):
    ledger = Ledger(run)
    assert (ledger.count(), ledger.cost(), len(ledger.asked()), len(ledger.labels().row_ids)) == (0, 0.0, 0, 0)
    assert ledger.answers(1) == []


def test_the_first_answer_to_a_row_stays(run):
    ledger = Ledger(run)
    ledger.write_query(query(1, 2))
    ledger.record(1, [answer(1, 0), answer(1, 5)])
    ledger.record(1, [answer(1, 7), answer(2, None)])
    ledger.record(1, [answer(2, 3)])
    assert [found.label for found in ledger.answers(1)] == [0, None]


def test_the_files_have_the_documented_columns(tmp_path):
    ledger = Ledger(RunDirectory.open(str(tmp_path), "r"))
    ledger.write_query(query(1, 2))
    ledger.record(1, [answer(2, None)])
    folder = tmp_path / "r" / "rounds" / "0001"
    assert pq.read_schema(folder / "query.parquet") == QUERY_SCHEMA
    assert pq.read_schema(folder / "labels.parquet") == LABELS_SCHEMA


def test_a_query_is_written_once_and_again_only_the_same(run):
    ledger = Ledger(run)
    ledger.write_query(query(1, 2))
    ledger.write_query(query(1, 2))
    with pytest.raises(RunError, match="already asks for other rows"):
        Ledger(run).write_query(query(1, 3))


def test_a_row_is_asked_once_in_a_run(run):
    Ledger(run).write_query(query(1, 2))
    with pytest.raises(RunError, match="such as row 2"):
        Ledger(run).write_query(query(2, 3, round=2))


@pytest.mark.parametrize(
    "wrong",
    [
        query(1, 1),
        query(-1),
        Query(1, np.array([1.0]), np.zeros(1, np.float32), "margin"),  # type: ignore[arg-type]
        Query(1, np.array([1, 2]), np.zeros(1, np.float32), "margin"),
    ],
)
def test_a_query_that_is_none_is_refused(run, wrong):
    with pytest.raises(RunError, match="expected"):
        Ledger(run).write_query(wrong)


@pytest.mark.parametrize(
    "wrong",
    [answer(9), answer(1, -1), answer(1, 0, cost=-1.0), answer(1, 0, cost=float("nan")), Answer(1, 0, "x", 1e999)],
)
def test_an_answer_that_cannot_be_taken_keeps_nothing_of_its_list(run, wrong):
    ledger = Ledger(run)
    ledger.write_query(query(1, 2))
    with pytest.raises(OracleError, match="row"):
        ledger.record(1, [answer(2), wrong])
    assert ledger.answers(1) == []


def test_answers_without_a_query_are_refused(run):
    with pytest.raises(RunError, match="no query"):
        Ledger(run).record(1, [answer(1)])


def test_a_damaged_file_is_named(run):
    ledger = Ledger(run)
    ledger.write_query(query(1))
    run.write("rounds/0001/labels.parquet", b"PAR1 not a table")
    with pytest.raises(StorageError, match=r"rounds/0001/labels\.parquet is damaged"):
        ledger.answers(1)


FINE = {
    "row_id": [10, 20],
    "label": [0, None],
    "annotator": ["a", "a"],
    "time": [datetime(2026, 1, 1, tzinfo=UTC)] * 2,
    "cost": [1.0, 1.0],
}


def edited(run: RunDirectory, name: str, columns: dict) -> Ledger:
    """Return a fresh ledger over a run whose file somebody else has written."""
    Ledger(run).write_query(query(10, 20, 30))
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    run.write(f"rounds/0001/{name}.parquet", sink.getvalue())
    return Ledger(run, classes=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"row_id": [10, None]},
        {"row_id": [10, 10]},
        {"row_id": [10, 99]},
        {"label": [0, -1]},
        {"label": [3, 0]},
        {"annotator": ["a", None]},
        {"time": [FINE["time"][0], None]},
        {"cost": [1.0, None]},
        {"cost": [1.0, float("nan")]},
        {"cost": [1.0, -1.0]},
    ],
    ids=str,
)
def test_answers_that_distal_never_wrote_are_damage(run, wrong):
    assert edited(run, "labels", FINE).labels().labels.tolist() == [0]
    ledger = edited(run, "labels", FINE | wrong)
    for read in (ledger.labels, ledger.cost, ledger.count):
        with pytest.raises(StorageError, match=r"rounds/0001/labels\.parquet is damaged"):
            read()


@pytest.mark.parametrize(
    "wrong", [{"row_id": [1, None]}, {"row_id": [1, 1]}, {"row_id": [1, -1]}, {"strategy": [None, None]}], ids=str
)
def test_a_query_that_distal_never_wrote_is_damage(run, wrong):
    fine = {"row_id": [1, 2], "score": [0.5, 0.5], "strategy": ["margin", "margin"]}
    assert edited(run, "query", fine).asked().tolist() == [1, 2]
    run.delete("rounds/0001")
    with pytest.raises(StorageError, match=r"rounds/0001/query\.parquet is damaged"):
        edited(run, "query", fine | wrong).asked()


def test_a_full_disk_keeps_the_answers_before(tmp_path, monkeypatch):
    ledger = Ledger(RunDirectory.open(str(tmp_path), "r"))
    ledger.write_query(query(1, 2))
    ledger.record(1, [answer(1)])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "write", full)
    with pytest.raises(StorageError, match=r"no space left \([\d,]+ bytes needed\)"):
        ledger.record(1, [answer(2)])
    monkeypatch.undo()
    ledger.record(1, [answer(2)])
    assert len(ledger.answers(1)) == 2


class Killed(BaseException):
    """The process ended here."""


class DyingOs:
    """The os module of a process that is killed at its n-th step on the disk; after that it does nothing more."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def __getattr__(self, name: str):
        found = getattr(os, name)
        if name not in ("open", "write", "fsync", "replace", "unlink", "mkdir"):
            return found

        def step(*arguments, **options):
            self.left -= 1
            if self.left == 0 and name == "write":
                os.write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            if self.left <= 0:
                raise Killed
            return found(*arguments, **options)

        return step


MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # the process dies here, not the disk: no need to wait
ROWS = [7, 3, 11, 5, 2]
LABEL = {7: 1, 3: None, 11: 0, 5: 2, 2: 1}


@settings(max_examples=80, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.lists(st.sampled_from(ROWS), max_size=4), st.none() | st.integers(1, 9)), min_size=1, max_size=8
    ),
    finish=st.permutations(ROWS),
)
def test_whatever_is_killed_no_label_is_lost_none_doubled_and_the_bytes_are_the_same(calls, finish):
    """Each call records some rows, in some order, and may be killed at some step; then the rest arrives one by one."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        run = RunDirectory.open(folder, "r")
        Ledger(run).write_query(query(*ROWS))
        durable: dict[int, Answer] = {}
        for number, (rows, dies) in enumerate(calls):
            answers = [Answer(row, LABEL[row], "test", float(number)) for row in rows]
            before, killed = dict(durable), False
            for given_answer in answers:
                durable.setdefault(given_answer.row_id, given_answer)
            storage.os = os if dies is None else DyingOs(dies)
            try:
                Ledger(run).record(1, answers)
            except Killed:
                killed = True
            finally:
                storage.os = os
            found = {a.row_id: a for a in Ledger(run).answers(1)}
            assert found == durable or (killed and found == before)
            durable = found
        for row in finish:
            Ledger(run).record(1, [Answer(row, LABEL[row], "test", 99.0)])
        answers = Ledger(run).answers(1)
        assert [a.row_id for a in answers] == ROWS
        assert [a.label for a in answers] == [LABEL[row] for row in ROWS]
        assert all(durable.get(a.row_id, a) == a for a in answers)
        with run.lock():
            names = sorted(os.listdir(Path(folder, "r", "rounds", "0001")))
        assert names == ["labels.parquet", "query.parquet"]


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(ROWS), cuts=st.lists(st.integers(0, 5), max_size=3))
def test_the_bytes_are_those_of_the_answers_and_not_of_their_order(order, cuts):
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        written = []
        edges = sorted({0, *cuts, 5})
        for name, parts in (("a", [ROWS]), ("b", [order[a:b] for a, b in itertools.pairwise(edges)])):
            run = RunDirectory.open(folder, name)
            ledger = Ledger(run)
            ledger.write_query(query(*ROWS))
            for part in parts:
                ledger.record(1, [answer(row, LABEL[row]) for row in part])
            written.append(run.read("rounds/0001/labels.parquet"))
        assert written[0] == written[1]


RECORDING = """
import sys, numpy as np
from distal.run.ledger import Answer, Ledger, Query
from distal.run.directory import RunDirectory
ledger = Ledger(RunDirectory.open(sys.argv[1], "r"))
ids = np.arange(100_000, dtype=np.int64)
ledger.write_query(Query(1, ids, np.zeros(len(ids), np.float32), "x"))
for i in range(100_000):
    ledger.record(1, [Answer(i, i % 10, "child", float(i))])
    print(i, flush=True)
"""


def test_a_process_that_is_killed_for_real_loses_no_answer_that_it_was_told_is_kept(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", RECORDING, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    child.stdout.readline()
    time.sleep(0.5)
    os.kill(child.pid, signal.SIGKILL)
    told = [int(line) for line in child.stdout.read().split()]
    child.wait()
    child.stdout.close()
    kept = [found.row_id for found in Ledger(RunDirectory.open(str(tmp_path), "r")).answers(1)]
    assert kept[: len(told) + 1] == [0, *told]
    assert kept == list(range(len(kept)))
    assert len(kept) - len(told) - 1 <= 1

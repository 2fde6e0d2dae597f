"""A label that people change on the page reaches the next round, once, and nothing before it."""

import numpy as np
import pytest

from distal.errors import OracleError, StorageError
from distal.oracle.classes import Classes
from distal.oracle.decided import corrections
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.ledger import Answer, Ledger, Query

CLASSES = Classes(("cat", "dog"), {"dog": 2.0})


def query(round: int, *rows: int) -> Query:
    return Query(round, np.array(rows, dtype=np.int64), np.zeros(len(rows), np.float32), "margin")


@pytest.fixture
def run(tmp_path):
    return RunDirectory.open(str(tmp_path), "r")


@pytest.fixture
def ledger(run):
    """Round 1 is answered and committed: row 7 a cat, row 3 a dog, row 5 declined."""
    ledger = Ledger(run, 2)
    ledger.write_query(query(1, 7, 3, 5))
    ledger.record(1, [Answer(7, 0, "ann", 1.0), Answer(3, 1, "ann", 1.0), Answer(5, None, "ann", 1.0)])
    run.commit(1)
    return ledger


def labels(ledger: Ledger) -> dict[int, int]:
    found = ledger.labels()
    return dict(zip(found.row_ids.tolist(), found.labels.tolist(), strict=True))


def test_corrected_labels_count_from_their_round_on_and_the_first_answers_stay_on_the_disk(run, ledger):
    ledger.correct(2, [Answer(3, None, "bob", 2.0), Answer(5, 1, "bob", 2.0)])
    for reader in (ledger, Ledger(run, 2)):
        assert labels(reader) == {7: 0, 5: 1}
        assert [answer.label for answer in reader.answers(1)] == [0, 1, None]
    assert Ledger(run, 2).labels().rounds.tolist() == [1, 1]


def test_what_a_round_was_corrected_by_is_decided_once(run, ledger):
    ledger.correct(2, [Answer(7, 1, "bob", 2.0)])
    before = run.read("rounds/0002/corrections.parquet")
    Ledger(run, 2).correct(2, [Answer(3, 0, "bob", 3.0)])
    assert run.read("rounds/0002/corrections.parquet") == before


def test_a_later_correction_wins_and_a_seal_holds_them(run, ledger):
    ledger.correct(2, [Answer(7, 1, "bob", 2.0)])
    ledger.write_query(query(2, 9))
    run.commit(2)
    ledger.correct(3, [Answer(7, 0, "ann", 3.0)])
    assert labels(Ledger(run, 2))[7] == 0
    path = "rounds/0002/corrections.parquet"
    run.local.joinpath(path).write_bytes(run.read("rounds/0003/corrections.parquet"))
    with pytest.raises(StorageError, match=r"0002/corrections\.parquet is damaged"):
        Ledger(RunDirectory.open(run.storage, run.name), 2).labels()


def test_what_is_learned_from_labels_notices_that_one_of_as_many_was_corrected(run, ledger):
    before = ledger.labels().digest()
    ledger.correct(2, [Answer(7, 1, "bob", 2.0)])
    assert ledger.labels().digest() != before


def test_a_row_without_an_answer_cannot_be_corrected(ledger):
    with pytest.raises(OracleError, match="row 8"):
        ledger.correct(2, [Answer(8, 1, "bob", 2.0)])


def test_what_people_changed_on_the_page_is_what_differs_from_the_ledger(run, ledger):
    journal = Journal(run, Decision)
    journal.append(Decision(1, "ann", (7,), 0, 1.0))  # what the ledger has
    journal.append(Decision(2, "ann", (3,), 1, 1.0))
    assert corrections(run, ledger, CLASSES) == []
    journal.append(Decision(3, "ann", (3,), 0, 2.0, settles=True))
    journal.append(Decision(4, "ann", (), None, 2.5, undoes=1))  # taken back, and not given anew: it stays
    assert [(a.row_id, a.label, a.annotator) for a in corrections(run, ledger, CLASSES)] == [(3, 0, "ann")]
    ledger.correct(2, corrections(run, ledger, CLASSES))
    assert corrections(run, Ledger(run, 2), CLASSES) == []

"""Answers that are brought are kept by the round that asks for their row, all or none; what is refused says why."""

import numpy as np
import pytest

from distal.errors import OracleError
from distal.oracle.classes import Classes
from distal.oracle.told import Told, take, tell
from distal.run.ledger import Ledger, Query

CLASSES = Classes(("cat", "dog", "Löwe"), {"dog": 2.0})


def answers(run, round=1):
    return [(a.row_id, a.label, a.annotator, a.cost) for a in Ledger(run).answers(round)]


def test_rows_and_labels_in_any_form_are_kept_in_the_order_of_the_query(run, query):
    tell(Ledger(run), CLASSES, [np.int64(5), 7.0, 3], ["löwe", np.int64(1), None], "ann")
    assert answers(run) == [(7, 1, "ann", 2.0), (3, None, "ann", 1.0), (5, 2, "ann", 1.0)]


def test_one_wrong_answer_keeps_all_of_them_back(run, query):
    with pytest.raises(OracleError, match=r"answer: row 3: 'lion' is no class.*\nNone of these answers is kept"):
        tell(Ledger(run), CLASSES, [7, 3], ["cat", "lion"], "ann")
    with pytest.raises(OracleError, match="2 rows and 1 labels"):
        tell(Ledger(run), CLASSES, [7, 3], ["cat"], "ann")
    assert answers(run) == []


@pytest.mark.parametrize(
    ("row_id", "label", "says"),
    [
        (99, "cat", "row 99: no round has asked for it"),
        ("x", "cat", "row 'x': this is no row id"),
        (True, "cat", "row True: this is no row id"),
        (3, 9, "row 3: 9 is no class index"),
        (7, "dog", "row 7: 'dog' is refused, for it was answered before: 'cat' by ann"),
    ],
)
def test_each_refusal_says_row_and_reason(run, query, row_id, label, says):
    ledger = Ledger(run)
    tell(ledger, CLASSES, [7], ["cat"], "ann")
    taken = take(ledger, CLASSES, [Told("line 4", row_id, label, "bob", 0.0)])
    (refused,) = taken.refused
    assert refused.startswith(f"line 4: {says}")
    assert taken.count == 0


def test_answers_go_to_the_rounds_that_ask_and_an_answer_that_stands_is_known(run, query):
    ledger = Ledger(run)
    ledger.write_query(Query(2, np.array([9]), np.zeros(1, np.float32), "margin"))
    tell(ledger, CLASSES, [9, 7], ["dog", "cat"], "ann")
    assert (answers(run)[0][:2], answers(run, 2)[0][:2]) == ((7, 0), (9, 1))
    again = take(ledger, CLASSES, [Told("", 9, "dog", "bob", 0.0), Told("", 12, "skip", "bob", 0.0)])
    assert again.known == {9}
    assert [answer.label for answer in again.answers[1]] == [None]


def test_of_different_labels_of_a_row_none_is_taken(run, query):
    told = [Told(f"line {n}", 5, label, "ann", 0.0) for n, label in enumerate(("cat", "dog", "cat"), 2)]
    taken = take(Ledger(run), CLASSES, told)
    assert taken.refused == ["line 4: row 5: it has different labels, 'cat', 'dog', 'cat'; none is taken"]
    assert taken.count == 0

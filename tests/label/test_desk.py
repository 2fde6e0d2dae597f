"""At the desk: what was decided is on the disk, once, whoever asks again, and can be taken back."""

import numpy as np
import pytest
from label_run import CLASSES, ask

from distal.errors import OracleError
from distal.label.desk import Desk, Ruling
from distal.oracle.decided import corrections
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.ledger import Answer, Ledger
from distal.run.predictions import Predictions, write_predictions


@pytest.fixture
def run(tmp_path):
    run = RunDirectory.open(str(tmp_path), "r")
    ask(run, 1, range(10, 16))
    return run


def desk(run, repeat: float = 0.0) -> Desk:
    return Desk(run, CLASSES, repeat, 0)


def rule(*rows: int, label: int | None = 0, token: str = "", **more) -> Ruling:
    return Ruling(rows, label, token or f"t{rows}{label}", **more)


def test_a_decision_is_on_the_disk_when_it_returns_and_a_new_desk_asks_for_what_is_left(run):
    first = desk(run)
    assert first.next("a", "ann", 2) == [10, 11]
    first.decide("a", "ann", rule(10, label=1))
    assert [d.row_ids for d in Journal(run, Decision).new()] == [(10,)]
    again = desk(run)  # as after a kill -9
    assert again.next("b", "bob", 9) == [11, 12, 13, 14, 15]
    assert (again.progress.done, again.progress.total, again.progress.cost) == (1, 6, 2.0)
    assert again.progress.of_person("ann")["decisions"] == 1


def test_a_decision_that_is_sent_again_is_kept_once_also_by_a_new_desk(run):
    kept = desk(run).decide("a", "ann", rule(10, token="same"))
    assert desk(run).decide("a", "ann", rule(10, token="same")) == kept
    assert len(Journal(run, Decision).new()) == 1


def test_everything_can_be_undone_one_after_the_other_also_after_a_restart(run):
    before = desk(run)
    before.decide("a", "ann", rule(10, 11, 12, label=1))
    before.decide("a", "bob", rule(13))
    after = desk(run)
    after.next("a", "ann", 1)
    assert after.undo("a", "ann", "u1").row_ids == (10, 11, 12)
    assert after.next("a", "ann", 3) == [10, 11, 12]
    assert after.undo("a", "ann", "u2") is None
    assert after.undo("a", "ann", "u1") is not None  # sent again: nothing more is taken back
    assert (after.progress.done, after.progress.cost, after.by_class()[0]) == (1, 1.0, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        rule(99),
        rule(10, 10),
        rule(),
        rule(10, label=3),
        rule(10, label=-1),
        rule(10, label=None),
        rule(10, why="none"),
        rule(10, label=None, why="<b>"),
    ],
)
def test_a_decision_about_what_was_not_asked_is_refused_and_nothing_is_kept(run, wrong):
    with pytest.raises(OracleError):
        desk(run).decide("a", "ann", wrong)
    assert Journal(run, Decision).new() == []


def test_the_next_query_comes_by_itself_when_the_round_is_committed(run, monkeypatch):
    monkeypatch.setattr("distal.label.desk.LOOK_S", 0.0)
    made = desk(run)
    made.decide("a", "ann", rule(*range(10, 16)))
    assert made.next("a", "ann", 3) == []
    Ledger(run).record(1, [Answer(i, 0, "ann", 1.0) for i in range(10, 16)])
    run.commit(1)
    ask(run, 2, range(20, 23))
    assert made.next("a", "ann", 3) == [20, 21, 22]
    assert (made.round, made.progress.done, made.progress.answered) == (2, 0, 6)


def test_what_the_ledger_has_from_elsewhere_is_not_asked_again(run):
    Ledger(run).record(1, [Answer(10, 1, "files", 1.0, 2.0), Answer(11, None, "files", 1.0)])
    made = desk(run)
    assert made.next("a", "ann", 2) == [12, 13]
    assert (made.progress.done, made.progress.cost, made.by_class()[None]) == (2, 3.0, 1)


def test_a_share_is_asked_of_a_second_person_and_a_dispute_is_settled(run):
    made = desk(run, repeat=1.0)
    made.decide("a", "ann", rule(*range(10, 16)))
    assert made.next("a", "ann", 9) == []
    assert made.next("b", "bob", 9) == [10, 11, 12, 13, 14, 15]
    made.decide("b", "bob", rule(10, label=1))
    made.decide("b", "bob", rule(11))
    assert made.disputed() == [10]
    assert [said for said in made.answers() if len(said) == 2] == [{"ann": 0, "bob": 1}, {"ann": 0, "bob": 0}]
    made.decide("c", "eve", rule(10, label=2, settles=True))
    assert made.disputed() == []
    assert made.opinions.outcome(10).label == 2
    made.decide("a", "ann", rule(10, label=1, settles=True))
    assert {"ann": 0, "bob": 1} in made.answers()  # settling does not make people agree


def test_what_awaits_a_second_person_when_its_batch_is_over_comes_before_the_next_batch(run, monkeypatch):
    monkeypatch.setattr("distal.label.desk.LOOK_S", 0.0)
    made = desk(run, repeat=1.0)
    made.decide("a", "ann", rule(*range(10, 16)))
    for round, first in ((2, 20), (3, 30)):
        Ledger(run).record(round - 1, [Answer(first - 10 + i, 0, "ann", 1.0) for i in range(6)])
        run.commit(round - 1)
        ask(run, round, range(first, first + 6))
        assert made.next("a", "ann", 2) == [first, first + 1], "nobody is asked what is already theirs"
        before = [first - 10, first - 9]
        assert made.next("b", "bob", 2) == before
        made.leave("b")
        assert desk(run, repeat=1.0).next("b", "bob", 2) == before, "also after a restart"
        if round == 2:
            made.decide("a", "ann", rule(*range(20, 26)))


def test_the_share_that_is_asked_twice_does_not_depend_on_who_asks_or_when(run):
    rows = [[row for row in range(10, 16) if desk(run, 0.5)._asks_twice(row)] for _ in range(2)]
    assert rows[0] == rows[1]
    assert 0 < len(rows[0]) < 6


def foretell(run, round: int, rows: range, sure: float, **classes: int) -> None:
    """Have the probe take every row for a cat, but those that are named by row, at this probability."""
    taken_for = [classes.get(f"row{row}", 0) for row in rows]
    probs = np.full((len(rows), 3), (1.0 - sure) / 2, np.float32)
    probs[np.arange(len(rows)), taken_for] = sure
    write_predictions(run, round, Predictions(np.array(rows, dtype=np.int64), probs, None))


def round_two(run, sure_of_new: float, relabel: float = 0.2) -> Desk:
    """Ann has called all six rows of round 1 cats; the probe took row 12 for a dog. Round 2 asks for six others."""
    foretell(run, 1, range(10, 16), 0.9, row12=1)
    first = desk(run)
    first.decide("a", "ann", rule(*range(10, 16)))
    ledger = Ledger(run)
    ledger.record(1, [Answer(row, 0, "ann", 1.0) for row in range(10, 16)])
    run.commit(1)
    foretell(run, 2, range(20, 26), sure_of_new)
    ask(run, 2, range(20, 26))
    return Desk(run, CLASSES, 0.0, 0, relabel)


def test_an_answer_that_the_model_doubts_is_asked_of_others_until_most_agree_and_reaches_the_next_round(run):
    made = round_two(run, 0.9)
    assert made.next("a", "ann", 2) == [20, 21], "nobody is asked what is already theirs"
    assert made.next("b", "bob", 2) == [12, 22]
    made.decide("b", "bob", rule(12, label=1, token="bob's"))
    assert corrections(run, Ledger(run), CLASSES)[0].label == 0, "one against one: the first answer stands"
    assert made.next("b", "bob", 2) == [22, 23]
    assert made.next("e", "eve", 1) == [12]
    made.undo("b", "bob", "no")
    made.decide("b", "bob", rule(12, label=1, token="again"))
    made.decide("e", "eve", rule(12, label=1, token="eve's"))
    assert made.next("j", "joe", 1) == [24], "two of three agree, and that is enough"
    (found,) = corrections(run, Ledger(run), CLASSES)
    assert (found.row_id, found.label, found.cost) == (12, 1, 1.0 + 2.0 + 2.0)
    Ledger(run).correct(2, [found])
    assert dict(zip(*map(list, (Ledger(run).labels().row_ids, Ledger(run).labels().labels)), strict=True))[12] == 1
    assert Ledger(run).cost() == 5 * 1.0 + 5.0
    assert corrections(run, Ledger(run), CLASSES) == []


def test_a_new_row_that_tells_more_is_labeled_instead_and_without_the_key_nothing_is_asked_again(run):
    assert round_two(run, 0.9, relabel=0.0).next("b", "bob", 1) == [20]
    nearly = np.tile(np.array([0.44, 0.45, 0.11], np.float32), (6, 1))
    write_predictions(run, 1, Predictions(np.arange(10, 16), nearly, None))
    foretell(run, 2, range(20, 26), 0.34)
    unsure = Desk(run, CLASSES, 0.0, 0, 0.2)
    assert unsure.next("b", "bob", 1) == [20], "of new rows nothing is known at all"

"""At the desk: what was decided is on the disk, once, whoever asks again, and can be taken back."""

import pytest
from label_run import CLASSES, ask

from distal.errors import OracleError
from distal.label.desk import Desk, Ruling
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.ledger import Answer, Ledger


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


def test_the_share_that_is_asked_twice_does_not_depend_on_who_asks_or_when(run):
    rows = [[row for row in range(10, 16) if desk(run, 0.5)._asks_twice(row)] for _ in range(2)]
    assert rows[0] == rows[1]
    assert 0 < len(rows[0]) < 6

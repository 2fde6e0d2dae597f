"""The journal: what was decided is on the disk, in order, whoever reads it and however its files lie."""

import pytest

from distal.errors import StorageError
from distal.run import journal as module
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.opinions import Opinions


@pytest.fixture
def run(tmp_path):
    return RunDirectory.open(str(tmp_path), "r")


def decision(number: int, *rows: int, label: int | None = 0, person: str = "ann", **more) -> Decision:
    return Decision(number, person, rows, label, 1.5 + number, **more)


def write(run, *decisions: Decision) -> Journal:
    journal = Journal(run, Decision)
    for each in decisions:
        journal.append(each)
    return journal


def test_a_second_reader_sees_each_decision_once_and_as_it_was_made(run):
    first = decision(1, 7, 8, label=None, why="unclear", seconds=0.25, suggested=True, token="x")
    journal = write(run, first)
    reader = Journal(run, Decision)
    assert reader.new() == [first]
    journal.append(decision(2, 9))
    assert reader.new() == [decision(2, 9)]
    assert reader.new() == []


def test_decisions_put_together_are_the_same_decisions_for_new_readers_and_for_one_that_was_there(run, monkeypatch):
    monkeypatch.setattr(module, "LOOSE", 3)
    made = [decision(n, n) for n in range(1, 6)]
    write(run, *made[:3])
    reader = Journal(run, Decision)
    assert reader.new() == made[:3]
    Journal(run, Decision).gather()
    assert run.list("decisions") == ["00000001-00000003.json"]
    writer = Journal(run, Decision)
    assert writer.new() == made[:3]
    writer.append(made[3])
    writer.append(made[4])
    assert reader.new() == made[3:]
    assert Journal(run, Decision).new() == made


def test_decisions_are_put_together_while_they_come_so_that_no_reader_lists_many_files(run, monkeypatch):
    monkeypatch.setattr(module, "LOOSE", 3)
    made = [decision(n, n) for n in range(1, 9)]
    journal, reader, read = Journal(run, Decision), Journal(run, Decision), []
    for each in made:
        journal.append(each)
        read += reader.new()
    assert read == made
    names = ["00000001-00000003.json", "00000004-00000006.json", "00000007.json", "00000008.json"]
    assert run.list("decisions") == names


def test_a_kill_between_putting_together_and_tidying_up_loses_and_doubles_nothing(run, monkeypatch):
    monkeypatch.setattr(module, "LOOSE", 2)
    monkeypatch.setattr(RunDirectory, "delete", lambda *_: None)
    made = [decision(n, n) for n in (1, 2)]
    write(run, *made)
    Journal(run, Decision).gather()
    assert len(run.list("decisions")) == 3
    assert Journal(run, Decision).new() == made


@pytest.mark.parametrize("spoiled", [b"", b"{}", b"[]", None])
def test_a_decision_that_is_damaged_or_missing_is_named(run, spoiled):
    write(run, decision(1, 1), decision(2, 2))
    path = "decisions/00000001.json"
    if spoiled is None:
        run.delete(path)
    else:
        run.write(path, spoiled)
    with pytest.raises(StorageError, match=r"00000001\.json is damaged"):
        Journal(run, Decision).new()


def test_a_decision_edited_by_hand_is_refused(run):
    write(run, decision(1, 1, label=1))
    path = "decisions/00000001.json"
    run.write(path, run.read(path).replace(b'"label": 1', b'"label": 2'))
    with pytest.raises(StorageError, match="not what distal wrote"):
        Journal(run, Decision).new()


def opinions(*decisions: Decision) -> Opinions:
    made = Opinions()
    made.take(decisions)
    return made


def test_the_last_answer_of_a_person_counts_and_an_undo_brings_the_one_before_back():
    said = opinions(decision(1, 5, label=0), decision(2, 5, 6, label=1))
    assert said.outcome(5).label == 1
    said.take([decision(3, undoes=2, label=None)])
    assert said.outcome(5).label == 0
    assert said.outcome(6) is None
    assert said.latest_of("ann").number == 1
    said.take([decision(4, undoes=1, label=None)])
    assert list(said.rows()) == []
    assert said.latest_of("ann") is None


def test_most_people_are_right_the_first_where_as_many_differ_and_whoever_settles_above_all():
    said = opinions(decision(1, 5, label=0, person="ann"), decision(2, 5, label=1, person="bob"))
    assert (said.outcome(5).label, said.disputed(5)) == (0, True)
    said.take([decision(3, 5, label=1, person="eve")])
    assert said.outcome(5).label == 1
    said.take([decision(4, 5, label=None, why="none", person="ann", settles=True)])
    assert (said.outcome(5).label, said.disputed(5)) == (None, False)


def test_where_decisions_cannot_be_put_together_the_next_one_is_kept_all_the_same(run, monkeypatch):
    monkeypatch.setattr(module, "LOOSE", 3)

    def full(self):
        raise StorageError("the disk is full")

    monkeypatch.setattr(Journal, "gather", full)
    made = [decision(n, n) for n in range(1, 5)]
    write(run, *made)
    assert Journal(run, Decision).new() == made

"""The page's oracle: all of a batch at once, when it is decided; before that everything can be taken back."""

import threading
import time

import pytest
from pool_of_rows import CLASSES

from distal.oracle.classes import Classes
from distal.oracle.page import PageOracle
from distal.run.journal import Decision, Journal
from distal.run.ledger import Ledger


def oracle(run, wait_s: float | None = None) -> PageOracle:
    return PageOracle(run, Classes(CLASSES, {"dog": 2.0}), wait_s)


def collected(made: PageOracle, run, query) -> list[tuple[int, int | None, str, float]]:
    lists = list(made.collect(query, Ledger(run).pending(query)))
    return [(a.row_id, a.label, a.annotator, a.cost) for answers in lists for a in answers]


@pytest.mark.timeout(30)
def test_it_waits_until_all_is_decided_and_an_answer_taken_back_is_awaited_again(run, query):
    journal = Journal(run, Decision)
    journal.append(Decision(1, "ann", (7, 3, 12), 1, 1.0))
    journal.append(Decision(2, "ann", (), None, 1.5, undoes=1))
    journal.append(Decision(3, "ann", (7, 5, 12), None, 2.0, why="none"))
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(collected(oracle(run), run, query)))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    journal.append(Decision(4, "ann", (3, 12), 1, 3.0))
    thread.join()
    assert found == [(7, None, "ann", 1.0), (3, 1, "ann", 2.0), (5, None, "ann", 1.0), (12, 1, "ann", 2.0)]


def test_without_a_word_for_long_it_gives_what_there_is(run, query):
    Journal(run, Decision).append(Decision(1, "ann", (3,), 1, 1.0))
    began = time.monotonic()
    assert collected(oracle(run, wait_s=0.2), run, query) == [(3, 1, "ann", 2.0)]
    assert time.monotonic() - began < 5
    assert "distal label" in oracle(run).waiting(query, query.row_ids[:1])


def test_an_answer_of_two_people_costs_what_both_cost(run, query):
    journal = Journal(run, Decision)
    journal.append(Decision(1, "ann", (7, 3, 5, 12), 1, 1.0))
    journal.append(Decision(2, "bob", (7,), 0, 2.0))
    assert collected(oracle(run), run, query)[0] == (7, 1, "ann", 3.0)

"""Who is shown which row: never two people the same one, unless that is asked for; nothing is left behind."""

from distal.label.queue import LEASE_S, Queue


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_two_pages_never_hold_the_same_row_and_keep_what_they_hold():
    queue = Queue(range(10))
    assert queue.next("a", "ann", 3) == [0, 1, 2]
    assert queue.next("b", "bob", 3) == [3, 4, 5]
    assert queue.next("a", "ann", 4) == [0, 1, 2, 6]
    assert len(queue) == 10


def test_an_answered_row_leaves_and_an_undone_one_comes_first():
    queue = Queue(range(4))
    queue.next("a", "ann", 2)
    queue.answered(0)
    assert (len(queue), queue.next("a", "ann", 2)) == (3, [1, 2])
    queue.ask_again(0)
    assert queue.take("a", [0]) == []
    assert queue.next("a", "ann", 2) == [0, 1]


def test_a_skipped_row_comes_again_after_all_others():
    queue = Queue(range(3))
    queue.next("a", "ann", 1)
    queue.give_back("a", [0], last=True)
    assert queue.next("a", "ann", 3) == [1, 2, 0]


def test_what_a_silent_page_held_is_shown_to_others():
    clock = Hand()
    queue = Queue(range(1), clock)
    queue.next("a", "ann", 1)
    assert queue.next("b", "bob", 1) == []
    clock.now = LEASE_S + 1
    assert queue.next("b", "bob", 1) == [0]


def test_a_second_page_of_the_same_person_takes_over_what_a_crash_left():
    queue = Queue(range(2))
    queue.next("a", "ann", 2)
    assert queue.next("again", "ann", 2) == [0, 1]
    assert queue.next("a", "ann", 0) == []


def test_who_has_nothing_left_is_given_what_another_page_has_ahead_but_not_what_it_shows():
    queue = Queue(range(6))
    queue.next("a", "ann", 6)
    assert queue.next("b", "bob", 6) == [3, 4, 5]
    assert queue.next("c", "eve", 6) == [2]
    assert queue.next("a", "ann", 6) == [0, 1]
    queue.take("d", [])
    queue.take("b", [3, 4, 5])
    assert queue.next("d", "joe", 6) == [1]
    assert queue.next("e", "sue", 6) == []


def test_a_second_answer_is_asked_of_another_person_alone_and_after_all_first_ones():
    queue = Queue(range(2))
    queue.next("a", "ann", 1)
    queue.answered(0, again=["ann"])
    assert len(queue) == 1
    assert queue.next("b", "bob", 2) == [1, 0]
    assert queue.next("a", "ann", 2) == []
    queue.answered(0)
    assert queue.next("b", "bob", 2) == [1]


def test_rows_that_others_hold_are_refused_by_name():
    queue = Queue(range(3))
    queue.next("b", "bob", 1)
    assert queue.take("a", [2, 0, 1]) == [0]
    assert queue.next("a", "ann", 3) == [2, 1]


def test_a_doubted_row_comes_before_first_answers_to_whom_has_not_answered_it_and_later_means_last():
    queue = Queue(range(3))
    queue.answered(9, again=["ann", "bob"], sooner=True)
    assert queue.next("a", "ann", 1) == [0]
    assert queue.next("e", "eve", 2) == [9, 1]
    assert len(queue) == 3, "another answer is awaited by nobody"
    queue.give_back("e", [9], last=True)
    assert queue.next("e", "eve", 3) == [1, 2, 9]

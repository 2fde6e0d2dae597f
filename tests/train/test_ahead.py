"""What is asked for by number is made ahead of need, each number once, in one thread, and its errors are told."""

import threading
import time

import pytest

from distal.train.ahead import Ahead


class Making:
    """Note what is made, in which thread; make nothing of numbers that are held back."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.threads: set[int] = set()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, number: int) -> str:
        self.gate.wait(5)
        self.made.append(number)
        self.threads.add(threading.get_ident())
        if number == 3:
            raise ValueError("no number 3")
        return f"number {number}"

    def until(self, count: int) -> list[int]:
        """Return what was made, once so many were."""
        end = time.monotonic() + 5
        while len(self.made) < count and time.monotonic() < end:
            time.sleep(0.001)
        return self.made


def test_the_numbers_after_the_one_that_is_taken_are_made_meanwhile_and_once() -> None:
    ahead, making = Ahead[str](2), Making()
    assert ahead.take("a", 0, making) == "number 0"
    assert making.until(3) == [0, 1, 2]
    making.gate.clear()  # what was made ahead is there though nothing more is made
    assert ahead.take("a", 1, making) == "number 1"
    assert ahead.take("a", 2, making) == "number 2"
    making.gate.set()
    assert making.until(5) == [0, 1, 2, 3, 4]
    assert making.threads.isdisjoint({threading.get_ident()})
    assert len(making.threads) == 1


def test_a_number_that_was_not_expected_is_made_and_what_was_expected_is_dropped() -> None:
    ahead, making = Ahead[str](1), Making()
    ahead.take("a", 0, making)
    making.until(2)
    assert ahead.take("a", 7, making) == "number 7"
    assert ahead.take("a", 0, making) == "number 0"
    assert making.made.count(0) == 2


def test_what_was_made_of_another_is_not_taken() -> None:
    ahead, making = Ahead[str](1), Making()
    ahead.take("a", 0, making)
    making.until(2)
    assert ahead.take("b", 1, lambda number: f"b {number}") == "b 1"


def test_an_error_is_raised_where_its_number_is_taken_and_not_before() -> None:
    ahead, making = Ahead[str](2), Making()
    assert ahead.take("a", 1, making) == "number 1"
    making.until(3)
    assert ahead.take("a", 2, making) == "number 2"
    with pytest.raises(ValueError, match="no number 3"):
        ahead.take("a", 3, making)
    assert ahead.take("a", 4, making) == "number 4"

"""At each rung the best go on: a share of those seen so far, and never fewer than `keep`."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distal.sweep.halving import SuccessiveHalving


class Trial:
    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def decide(scheduler: SuccessiveHalving, name: str, asked: int, objective: float) -> bool:
    return scheduler.on_trial_result(None, Trial(name), {"asked": asked, "objective": objective}) == "CONTINUE"


def test_the_best_two_of_a_rung_go_on_in_whatever_order_they_come() -> None:
    for order in permutations(range(6)):
        scheduler = SuccessiveHalving(grace=5, reduction=3, keep=2, mode="min")
        going_on = {number for number in order if decide(scheduler, str(number), 5, float(number))}
        assert {0, 1} <= going_on, order


@pytest.mark.parametrize(("mode", "sign"), [("min", 1.0), ("max", -1.0)])
def test_the_worse_is_given_up_in_either_direction(mode: str, sign: float) -> None:
    scheduler = SuccessiveHalving(5, 3, 2, mode)
    decisions = [decide(scheduler, str(i), 5, sign * value) for i, value in enumerate([4.0, 5.0, 9.0, 3.0, 4.5])]
    assert decisions == [True, True, False, True, False]


def test_rungs_lie_at_powers_of_the_reduction_and_are_judged_once() -> None:
    scheduler = SuccessiveHalving(5, 3, 1, "min")
    assert decide(scheduler, "good", 5, 1.0)
    assert decide(scheduler, "poor", 4, 9.0), "before the grace is over nobody is judged"
    assert not decide(scheduler, "poor", 5, 9.0)
    assert decide(scheduler, "good", 10, 99.0), "between rungs nobody is judged"
    assert decide(scheduler, "good", 15, 2.0)
    assert decide(scheduler, "fair", 16, 1.5)
    assert not decide(scheduler, "late", 17, 3.0), "who passes over a rung is judged at the next round"


@given(values=st.lists(st.floats(0.1, 100), min_size=1, max_size=40, unique=True), reduction=st.integers(2, 5))
def test_no_more_go_on_than_the_rule_allows_and_the_best_always_does(values: list[float], reduction: int) -> None:
    scheduler = SuccessiveHalving(1, reduction, 1, "min")
    going_on = [value for i, value in enumerate(values) if decide(scheduler, str(i), 1, value)]
    assert min(values) in going_on
    assert max(values) not in going_on or len(values) <= 1 or values[0] == max(values)


def test_equals_share_their_rank() -> None:
    scheduler = SuccessiveHalving(5, 3, 2, "min")
    assert [decide(scheduler, str(i), 5, value) for i, value in enumerate([3.0, 3.0, 3.0, 4.0])] == [True] * 3 + [False]


def test_a_missing_value_is_given_up_once_there_are_better_ones() -> None:
    scheduler = SuccessiveHalving(5, 3, 2, "min")
    decisions = [decide(scheduler, str(i), 5, value) for i, value in enumerate([1e12, 5.0, 1e12, 6.0])]
    assert decisions == [True, True, False, True]

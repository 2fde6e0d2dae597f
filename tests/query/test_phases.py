import numpy as np
import pytest

from distal.query import STRATEGIES
from distal.query.phases import choose_phase


def phase(counts, asked=100, budget=240):
    return choose_phase(np.asarray(counts, dtype=np.int64), asked, budget)


@pytest.mark.parametrize(
    ("counts", "asked", "name", "strategy"),
    [
        ([0, 0, 0], 0, "search", "coreset"),
        ([9, 3, 0], 12, "search", "coreset"),
        ([9, 3, 0], 60, "refine", "margin"),  # a quarter of the budget went into looking for it
        ([9, 3, 3], 15, "refine", "badge"),
        ([9, 5, 2], 16, "refine", "margin"),
        ([40, 60, 50], 150, "refine", "badge"),
        ([100, 60, 20], 180, "refine", "margin"),
        ([], 12, "refine", "badge"),  # classes unknown
    ],
)
def test_the_phase_follows_from_the_labels_of_each_class(counts, asked, name, strategy):
    made = phase(counts, asked)
    assert (made.name, made.strategy) == (name, strategy)
    assert made.strategy in STRATEGIES.names()


def test_the_reason_names_what_decided():
    assert phase([9, 0, 0], 12).why == "2 of 3 classes have no label yet"
    assert phase([100, 60, 20]).why == "the rarest class, number 2, has 20 of 180 labels"
    assert phase([5, 5]).why == "no class has less than half of an even share of 10 labels"


def test_exactly_half_of_an_even_share_counts_as_even():
    assert phase([7, 3, 2]).strategy == "badge"

import numpy as np
import pytest

from distal.query import STRATEGIES
from distal.query.phases import choose_phase


def phase(counts, asked=100, budget=240):
    return choose_phase(np.asarray(counts, dtype=np.int64), asked, budget)


@pytest.mark.parametrize(
    ("counts", "asked", "name", "strategy"),
    [
        ([0, 0, 0], 0, "cover", "uherding"),
        ([20, 6, 3], 29, "cover", "uherding"),  # 29 labels are not 10 a class
        ([20, 6, 4], 30, "refine", "cluster_margin"),
        ([40, 10, 0], 50, "cover", "uherding"),
        ([40, 10, 0], 60, "refine", "cluster_margin"),  # a quarter of the budget went into looking for it
        ([40, 60, 50], 150, "cover", "uherding"),
        ([100, 60, 20], 180, "refine", "cluster_margin"),
        ([], 12, "cover", "uherding"),  # classes unknown
    ],
)
def test_the_phase_follows_from_the_labels_of_each_class(counts, asked, name, strategy):
    made = phase(counts, asked)
    assert (made.name, made.strategy) == (name, strategy)
    assert made.strategy in STRATEGIES.names()


def test_the_reason_names_what_decided():
    assert phase([9, 0, 0], 12).why == "9 labels are fewer than 10 for each of 3 classes"
    assert phase([39, 0, 0], 12).why == "2 of 3 classes have no label yet"
    assert phase([100, 60, 20]).why == "the rarest class, number 2, has 20 of 180 labels"
    assert phase([15, 15]).why == "no class has less than half of an even share of 30 labels"


def test_exactly_half_of_an_even_share_counts_as_even():
    assert phase([17, 8, 5]).strategy == "uherding"

"""Agreement: Cohen's kappa as scikit-learn computes it, Fleiss' as he printed it."""

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from distal.label.agreement import agreement, fleiss

FLEISS = [
    *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
    *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
]
"""Ten rows, fourteen people, five classes: the worked example of many textbooks, with kappa 0.210."""


@pytest.mark.parametrize("seed", range(5))
def test_two_people_agree_as_scikit_learn_says(seed):
    rng = np.random.default_rng(seed)
    ann = rng.integers(-1, 4, 60)
    bob = np.where(rng.random(60) < 0.6, ann, rng.integers(-1, 4, 60))
    answers = [{"ann": int(a), "bob": int(b)} for a, b in zip(ann, bob, strict=True)]
    found = agreement([*answers, {"ann": 1}])
    assert found.kappa == pytest.approx(cohen_kappa_score(ann, bob), abs=1e-12)
    assert found.agreed == pytest.approx((ann == bob).mean())
    assert (found.rows, found.people, found.statistic) == (60, ("ann", "bob"), "Cohen's kappa")


def test_a_long_run_takes_no_more_memory_than_its_answers():
    rng = np.random.default_rng(0)
    ann, bob = rng.integers(0, 3, (2, 20_000))
    answers = [{"ann": int(a), "bob": int(b)} for a, b in zip(ann, bob, strict=True)]
    tracemalloc.start()
    found = agreement(answers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6, "a table of rows by resamples has 320 MB"
    assert found.kappa == pytest.approx(cohen_kappa_score(ann, bob), abs=1e-12)
    # The standard error of kappa where nobody agrees beyond chance (Cohen 1960): sqrt(p_e / (n (1 - p_e))).
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(1 / 3 / (20_000 * 2 / 3)), rel=0.15)


def test_many_people_agree_as_fleiss_says():
    chosen = np.zeros((10, 14, 5))
    for row, counts in enumerate(FLEISS):
        chosen[row, np.arange(14), np.repeat(np.arange(5), counts)] = 1.0
    assert fleiss(chosen, np.ones((1, 10)))[0] == pytest.approx(0.2099, abs=1e-4)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng, held = np.random.default_rng(1), 0
    for _ in range(20):  # kappa is 0.6: 60% are copied, the others drawn anew from equal shares
        ann = rng.integers(0, 3, 100)
        bob = np.where(rng.random(100) < 0.6, ann, rng.integers(0, 3, 100))
        found = agreement([{"ann": int(a), "bob": int(b)} for a, b in zip(ann, bob, strict=True)])
        held += found.low <= 0.6 <= found.high
    assert held >= 16  # P(fewer | 95%) = 0.0003


def test_nothing_is_known_without_a_second_answer_and_nothing_beyond_chance_with_one_class():
    assert agreement([{"ann": 1}, {"bob": 1}]) is None
    found = agreement([{"ann": 1, "bob": 1}, {"ann": 1, "bob": 1}])
    assert (found.kappa, found.agreed) == (None, 1.0)

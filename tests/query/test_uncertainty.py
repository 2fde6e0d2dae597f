import numpy as np
import pytest
import torch
from query_pools import choose, cut, make_pool

from distal.errors import TrainingError
from distal.query import View, entropy, least_confidence, margin, random


def view_of(probs: list[list[float]] | np.ndarray, round: int = 1, seed: int = 0) -> View:
    p = torch.tensor(np.asarray(probs), dtype=torch.float32)
    n = len(p)
    return View(np.arange(n), np.ones(n, bool), np.full(n, -1), 16, seed, round, {"probs": p})


def test_entropy_is_that_of_the_definition_in_nats_and_zero_probabilities_count_nothing():
    scores = entropy(view_of([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.3, 0.5]]))
    exact = [np.log(2), 0.0, -(0.2 * np.log(0.2) + 0.3 * np.log(0.3) + 0.5 * np.log(0.5))]
    assert np.allclose(scores, exact, atol=3e-7)


def test_entropy_of_the_smallest_probabilities_stays_finite():
    assert torch.isfinite(entropy(view_of([[1.0, 1e-38], [1.0, 1e-45]]))).all()


def test_margin_is_minus_the_difference_of_the_two_largest():
    assert np.allclose(margin(view_of([[0.1, 0.6, 0.3], [0.45, 0.1, 0.45]])), [-0.3, 0.0], atol=1e-7)


def test_least_confidence_is_minus_the_largest():
    assert np.allclose(least_confidence(view_of([[0.1, 0.6, 0.3], [0.8, 0.1, 0.1]])), [-0.6, -0.8])


def test_margin_agrees_with_a_sort_over_many_chunks():
    p = np.random.default_rng(0).dirichlet(np.ones(7), 40_000).astype(np.float32)
    top = np.sort(p, 1)
    assert np.array_equal(margin(view_of(p)).numpy(), top[:, -2] - top[:, -1])


def test_random_depends_on_row_round_and_seed_alone():
    p = np.ones((100, 2))
    assert torch.equal(random(view_of(p)), random(view_of(p)))
    assert not torch.equal(random(view_of(p)), random(view_of(p, round=2)))
    assert not torch.equal(random(view_of(p)), random(view_of(p, seed=1)))


def test_random_asks_every_row_equally_often():
    asked = np.zeros(40)
    for round in range(1, 1001):
        pool = make_pool(40, labeled=0.0, unavailable=0.0, round=round)
        asked[choose("random", [pool], 10).row_ids] += 1
    # 1,000 draws with probability 1/4: standard deviation 13.7; five of them.
    assert np.abs(asked - 250).max() < 5 * 13.7


@pytest.mark.parametrize("name", ["entropy", "margin", "least_confidence", "random"])
def test_bits_of_a_score_do_not_depend_on_the_cut(name):
    pool = make_pool(5000, classes=10)
    one = choose(name, [pool], 300)
    many = choose(name, cut(pool, [1, 7, 7, 100, 250]), 300)
    assert np.array_equal(one.row_ids, many.row_ids)
    assert np.array_equal(one.scores, many.scores)


@pytest.mark.parametrize("name", ["entropy", "margin", "least_confidence"])
@pytest.mark.parametrize("k", [1, 50, 5000])
def test_a_nan_is_refused_and_the_row_is_named(name, k):
    pool = make_pool(500, labeled=0.0, unavailable=0.0)
    pool.probs[123] = torch.nan
    with pytest.raises(TrainingError, match="row 123 is nan") as caught:
        choose(name, cut(pool, [3]), k)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_nan_of_a_row_that_may_not_be_asked_does_no_harm():
    pool = make_pool(500)
    pool.probs[np.flatnonzero(~pool.available)] = torch.nan
    assert len(choose("margin", [pool], 10).row_ids) == 10

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool

from distal.errors import ConfigError
from distal.query import STRATEGIES, View, entropy, margin, ranks


def plain_ranks(scores):
    """Count, for each score, those below and half of the equals, in [0, 1]."""
    below = np.array([sum(other < score for other in scores) for score in scores])
    equal = np.array([sum(other == score for other in scores) - 1 for score in scores])
    return (below + equal / 2) / max(1, len(scores) - 1)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 200),
    k=st.integers(1, 210),
    seed=st.integers(0, 10_000),
    quantiles=st.sampled_from([2, 3, 10, 1024]),
    tied=st.booleans(),
    ends=st.lists(st.integers(0, 12), max_size=5),
)
def test_a_sum_of_ranks_picks_as_a_sort_of_the_whole_pool_does(n, k, seed, quantiles, tied, ends):
    pool = make_pool(n, seed)
    if tied:
        pool.probs[:] = torch.round(pool.probs * 4) / 4
    free = np.flatnonzero(pool.available)
    total = 0.25 * plain_ranks(margin(pool).numpy()[free]) + 0.75 * plain_ranks(entropy(pool).numpy()[free])
    expected = free[np.lexsort((free, -total))][:k]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "QUANTILES", quantiles)
        chosen = choose("0.25*margin+0.75*entropy", cut(pool, ends), k)
    assert chosen.row_ids.tolist() == expected.tolist()
    assert np.allclose(chosen.scores, -np.sort(-total)[:k])


def test_weights_are_relative_and_one_alone_is_the_strategy_itself():
    pool = make_pool(300)
    doubled, alone = choose("2*margin+2*entropy", [pool], 20), choose("1*margin", [pool], 20)
    assert np.array_equal(doubled.scores, choose("margin+entropy", [pool], 20).scores)
    assert np.array_equal(alone.row_ids, choose("margin", [pool], 20).row_ids)


@pytest.mark.parametrize("labeled", [0.0, 0.1])
def test_a_strategy_that_picks_one_after_another_ranks_rows_by_what_they_gain_as_the_first(labeled):
    pool = make_pool(200, labeled=labeled, whole=3)  # integers, whose distances are exact
    x, free = pool.embeddings.double().numpy(), np.flatnonzero(pool.available)
    between = ((x[:, None] - x[None, pool.labeled]) ** 2).sum(-1)
    gains = between.min(1) if labeled else (x**2).sum(1)
    total = 0.5 * plain_ranks(margin(pool).numpy()[free]) + 0.5 * plain_ranks(gains[free])
    chosen = choose("0.5*margin+0.5*coreset", cut(pool, [3, 7]), 30)
    assert chosen.row_ids.tolist() == free[np.lexsort((free, -total))][:30].tolist()


def test_few_rows_of_a_large_pool_are_told():
    pool = make_pool(40_000, block_rows=256)
    moved = choose("margin+bald", cut(pool, [50, 100]), 20).bytes_moved
    assert moved < 3 * 40 * ranks.QUANTILES * 8


def test_what_costs_twice_as_much_must_rank_twice_as_high():
    pool = make_pool(200)
    costs = np.array([1.0, 4.0, 0.5, 1.0])
    view = View(pool.row_ids, pool.available, pool.labels, 16, 0, 1, pool.tensors, pool.class_counts, costs=costs)
    free = np.flatnonzero(pool.available)
    total = plain_ranks(entropy(pool).numpy()[free]) / (pool.probs.double().numpy()[free] @ costs)
    chosen = choose("per_cost:entropy", cut(view, [3, 6]), 25)
    assert chosen.row_ids.tolist() == free[np.lexsort((free, -total))][:25].tolist()
    assert np.array_equal(choose("per_cost:entropy", [pool], 25).row_ids, choose("entropy", [pool], 25).row_ids)


def test_answers_that_cost_nothing_come_first_and_stay_finite():
    pool = make_pool(100, labeled=0.0, unavailable=0.0)
    pool.probs[40:50] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    pool.probs[30] = torch.tensor([0.5, 0.5, 0.0, 0.0])
    view = View(
        pool.row_ids, pool.available, pool.labels, 16, 0, 1, pool.tensors, pool.class_counts, costs=np.eye(4)[0]
    )
    assert choose("per_cost:0.5*random+0.5*random", [view], 10).row_ids.max() < 100


def test_needs_are_those_of_all_parts():
    assert STRATEGIES.find("0.5*margin+0.5*bald").needs == {"probs", "committee"}
    assert STRATEGIES.find("per_cost:bald").needs == {"probs", "committee"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("0.5*galaxy+margin", "'galaxy' scores no row by itself"),
        ("x*margin+entropy", "'x' in .* is no weight"),
        ("0*margin+entropy", "the weight is 0"),
        ("margn+entropy", "did you mean 'margin'"),
        ("class_balance:margin", "did you mean 'class_balanced'"),
    ],
)
def test_what_cannot_be_made_of_strategies_is_refused_with_what_can(name, words):
    with pytest.raises(ConfigError, match=words) as caught:
        STRATEGIES.find(name)
    assert len(str(caught.value).splitlines()) <= 3

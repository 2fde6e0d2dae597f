import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool, same_whatever_the_cut
from scipy.stats import spearmanr

from distal.errors import TrainingError
from distal.query import reference, selection
from distal.query.reference import UNIT

NAMES = ["density", "graph_cut"]


def similarities(pool):
    """Return whole numbers [n, n]: exp(-|x - y|^2) of rows at unit length."""
    x = pool.embeddings.double().numpy()
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norms > 0.0, norms, 1.0)
    return np.round(np.exp(-np.array([2.0 - 2.0 * (x @ a) for a in x])) * UNIT)


def plain(name, pool, k):
    """Pick by the plain loop, in the equations' own terms; ties to the lowest row id."""
    near = similarities(pool)
    used = pool.available | pool.labeled
    directed = pool.embeddings.double().norm(dim=1).numpy() > 0.0
    mass = near[used].sum(0) - np.where(used & directed, UNIT, 0.0)
    budget = int(pool.labeled.sum()) + k
    chosen = np.flatnonzero(pool.labeled).tolist() if name == "graph_cut" else []
    free, picks, scores = pool.available.copy(), [], []
    while len(picks) < k and free.any():
        among = near[chosen].sum(0) if name == "graph_cut" else 0.0
        gains = budget * mass - used.sum() * among if name == "graph_cut" else mass
        gains = np.where(free, gains, -np.inf)
        picks.append(int(gains.argmax()))
        scores.append(gains.max() / (UNIT * used.sum() * (budget if name == "graph_cut" else 1)))
        free[picks[-1]] = False
        chosen.append(picks[-1])
    return picks, scores


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n=st.integers(1, 150),
    k=st.integers(1, 160),
    seed=st.integers(0, 10_000),
    labeled=st.sampled_from([0.0, 0.1, 0.6]),
    most=st.sampled_from([1, 3, 64]),
    ends=st.lists(st.integers(0, 10), max_size=9),
)
def test_picks_and_ties_are_those_of_the_plain_loop_whatever_the_cut(name, n, k, seed, labeled, most, ends):
    pool = make_pool(n, seed, features=4, labeled=labeled)
    pool.embeddings.copy_(torch.where(pool.embeddings > 0.0, 1.0, -1.0))  # exact cosines, many ties
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "FEWEST", most)
        patch.setattr(selection, "MOST", most)
        chosen = choose(name, cut(pool, ends), k)
    picks, scores = plain(name, pool, min(k, int(pool.available.sum())))
    assert chosen.row_ids.tolist() == picks
    assert np.allclose(chosen.scores, scores, rtol=1e-5, atol=1e-5)


@settings(max_examples=12, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n=st.integers(1, 400),
    k=st.integers(1, 100),
    seed=st.integers(0, 10_000),
    labeled=st.sampled_from([0.0, 0.2]),
    sampled=st.booleans(),
    ends=st.lists(st.integers(0, 25), min_size=1, max_size=8),
)
def test_the_same_bits_come_out_for_any_cut(name, n, k, seed, labeled, sampled, ends):
    pool = make_pool(n, seed, features=20, labeled=labeled)
    same_whatever_the_cut(name, pool, k, ends, sampled)


def test_picks_on_real_numbers_are_those_of_the_plain_loop():
    pool = make_pool(600, features=16, labeled=0.05)
    for name in NAMES:
        assert choose(name, cut(pool, [5, 20]), 40).row_ids.tolist() == plain(name, pool, 40)[0]


def test_a_full_batch_of_graph_cut_is_nearer_to_the_pool_than_random_or_dense_rows():
    pool = make_pool(500, features=8, labeled=0.0, unavailable=0.0)
    near = similarities(pool) / UNIT

    def discrepancy(rows):
        return near.mean() - 2.0 * near[rows].mean() + near[rows][:, rows].mean()

    cut_rows = choose("graph_cut", [pool], 30).row_ids
    assert discrepancy(cut_rows) < 0.3 * discrepancy(choose("random", [pool], 30).row_ids)
    assert discrepancy(cut_rows) < 0.3 * discrepancy(choose("density", [pool], 30).row_ids)


def test_a_density_by_a_sample_orders_rows_nearly_as_the_whole_pool_does(monkeypatch):
    pool = make_pool(2000, features=6, labeled=0.0, unavailable=0.0)
    pool.embeddings[:, 0] += 2.0  # denser around one direction
    exact = choose("density", [pool], 2000)
    monkeypatch.setattr(reference, "WHOLE", 1000)
    monkeypatch.setattr(reference, "SAMPLE", 400)
    sampled = choose("density", [pool], 2000)
    by_row = [c.scores[np.argsort(c.row_ids)] for c in (exact, sampled)]
    assert spearmanr(*by_row).statistic > 0.95


@pytest.mark.parametrize("name", NAMES)
def test_one_image_repeated_and_zero_embeddings_are_asked_by_lowest_row_id(name):
    pool = make_pool(100, labeled=0.0, unavailable=0.2)
    for value in (torch.randn(6, generator=torch.Generator().manual_seed(0)), torch.zeros(6)):
        pool.embeddings[:] = value
        chosen = choose(name, cut(pool, [2, 4]), 50)
        assert np.array_equal(chosen.row_ids, np.flatnonzero(pool.available)[:50])


@pytest.mark.parametrize("name", NAMES)
def test_an_infinite_embedding_is_refused_and_the_row_is_named(name):
    pool = make_pool(100, labeled=0.0, unavailable=0.0)
    pool.embeddings[77, 2] = torch.inf
    with pytest.raises(TrainingError, match="row 77 is inf"):
        choose(name, cut(pool, [2]), 3)

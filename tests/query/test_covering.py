import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool, same_whatever_the_cut

from distal.errors import TrainingError
from distal.query import STRATEGIES, LocalShards, Selector, coverer, reference, select, selection
from distal.query.coverer import candidates
from distal.query.covering import ProbCover, least_distance
from distal.streams import row_uniforms

NAMES = ["facility_location", "max_herding", "uherding", "probcover"]
UNIT = 2.0**18


def signs(n, seed=0, **how):
    """Make a pool of rows in {-1, 1}^4: cosines are exact, duplicates and ties abound."""
    pool = make_pool(n, seed, features=4, **how)
    pool.embeddings.copy_(torch.where(pool.embeddings > 0.0, 1.0, -1.0))
    return pool


def squared_distances(pool):
    x = pool.embeddings.double().numpy()
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norms > 0.0, norms, 1.0)
    return np.array([2.0 - 2.0 * (x @ a) for a in x])


def similarities(name, pool, radius=None):
    """Return whole numbers [r, n] by the equations: rows that count, against all rows."""
    used = pool.available | pool.labeled
    squared = squared_distances(pool)
    weights = np.ones(len(squared))
    if name == "facility_location":
        near = 1.0 - squared / 4.0
    elif name == "probcover":
        near = squared < max(radius**2, 2.0**-18)
    else:
        width = 1.0
        if name == "uherding" and pool.labeled.any():
            among = squared[pool.labeled][:, pool.labeled]
            width = min((d for d in among.ravel() if d > 2.0**-18), default=1.0) ** 0.5
            two = np.sort(pool.probs.double().numpy(), axis=1)[:, -2:]
            weights = np.where(pool.labeled, 0.0, 1.0 - (two[:, 1] - two[:, 0]))
            weights = weights / weights[used].max()
        near = np.exp(-squared / width**2)
    return np.round((weights[:, None] * near * UNIT)[used])


def plain_greedy(near, pool, k):
    """Pick by the loop that everyone writes; ties to the lowest row id."""
    best = near[:, pool.labeled].max(1, initial=0.0)
    free = pool.available.copy()
    picks, scores = [], []
    while len(picks) < k and free.any():
        gains = [np.maximum(near[:, i] - best, 0.0).sum() if free[i] else -1.0 for i in range(near.shape[1])]
        picks.append(int(np.argmax(gains)))
        scores.append(max(gains) / (UNIT * len(best)))
        free[picks[-1]] = False
        best = np.maximum(best, near[:, picks[-1]])
    return picks, scores


def radius_of(pool):
    """Return the radius that probcover finds, which one shard's strategy tells."""
    seen = []

    class Telling(ProbCover):
        def kernel(self, *args):
            seen.append(super().kernel(*args))
            return seen[-1]

    strategy = STRATEGIES.find("probcover")
    telling = type(strategy)("probcover", strategy.needs, "batch", Telling)
    select(LocalShards([Selector(pool, telling)]), telling, 1, pool.seed, pool.round)
    return seen[0].radius


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(["facility_location", "max_herding", "probcover"]),
    n=st.integers(1, 120),
    k=st.integers(1, 130),
    seed=st.integers(0, 10_000),
    labeled=st.sampled_from([0.0, 0.1, 0.6]),
    most=st.sampled_from([1, 3, 64]),
    keep=st.booleans(),
    ends=st.lists(st.integers(0, 8), max_size=9),
)
def test_picks_and_ties_are_those_of_the_plain_loop_whatever_the_cut(name, n, k, seed, labeled, most, keep, ends):
    pool = signs(n, seed, labeled=labeled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "FEWEST", most)
        patch.setattr(selection, "MOST", most)
        patch.setattr(coverer, "KEEP", coverer.KEEP if keep else 0)
        chosen = choose(name, cut(pool, ends), k)
    radius = radius_of(pool) if name == "probcover" and pool.available.any() else 1.0
    picks, scores = plain_greedy(similarities(name, pool, radius), pool, k)
    assert chosen.row_ids.tolist() == picks
    assert np.allclose(chosen.scores, scores, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("labeled", [0.0, 0.05])
@pytest.mark.parametrize("name", NAMES)
def test_each_pick_on_real_numbers_has_the_largest_gain_by_float64_loops(name, labeled):
    pool = make_pool(300, features=16, labeled=labeled)
    near = similarities(name, pool, radius_of(pool) if name == "probcover" else None)
    best = near[:, pool.labeled].max(1, initial=0.0)
    free = pool.available.copy()
    chosen = choose(name, cut(pool, [3, 9]), 60)
    for pick, score in zip(chosen.row_ids, chosen.scores, strict=True):
        gains = np.where(free, np.maximum(near - best[:, None], 0.0).sum(0), -1.0)
        assert gains[pick] >= gains.max() - 2.0 * len(best)  # a similarity may round to the next whole number
        assert score * len(best) * UNIT == pytest.approx(gains[pick], abs=4.0 * len(best))
        free[pick] = False
        best = np.maximum(best, near[:, pick])


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
    one, many = same_whatever_the_cut(name, pool, k, ends, sampled)
    assert one.passes == many.passes


@pytest.mark.parametrize("name", NAMES)
def test_one_image_repeated_and_zero_embeddings_are_asked_by_lowest_row_id(name):
    pool = make_pool(100, labeled=0.0, unavailable=0.2)
    for value in (torch.randn(6, generator=torch.Generator().manual_seed(0)), torch.zeros(6)):
        pool.embeddings[:] = value
        chosen = choose(name, cut(pool, [2, 4]), 50)
        assert np.array_equal(chosen.row_ids, np.flatnonzero(pool.available)[:50])


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_of_the_model_is_refused_and_the_row_is_named(name):
    pool = make_pool(100, labeled=0.0, unavailable=0.0)
    pool.embeddings[77, 2] = torch.nan
    with pytest.raises(TrainingError, match="row 77 is nan"):
        choose(name, cut(pool, [2]), 3)


def test_a_nan_among_the_probabilities_is_refused_too():
    pool = make_pool(100, labeled=0.0, unavailable=0.0)
    pool.probs[77] = torch.nan
    with pytest.raises(TrainingError, match="row 77 is nan"):
        choose("uherding", cut(pool, [2]), 3)


@pytest.mark.parametrize("name", NAMES)
def test_what_leaves_a_shard_can_be_pickled_and_is_counted(name):
    class Pickled(LocalShards):
        def call(self, method, *args):
            return pickle.loads(pickle.dumps(super().call(method, *pickle.loads(pickle.dumps(args)))))  # noqa: S301

    pool, strategy = make_pool(200), STRATEGIES.find(name)
    group = Pickled([Selector(view, strategy) for view in cut(pool, [4])])
    chosen = select(group, strategy, 20, 0, 1)
    assert np.array_equal(chosen.row_ids, choose(name, [pool], 20).row_ids)
    assert chosen.bytes_moved > 3 * (pool.available | pool.labeled).sum() * 4 * 6  # the reference: there, twice back


def test_a_sampled_reference_reaches_nearly_the_coverage_of_the_whole_one(monkeypatch):
    draw = np.random.default_rng(0)
    pool = make_pool(2000, features=16, labeled=0.0, unavailable=0.0)
    centers = draw.standard_normal((25, 16))
    pool.embeddings.copy_(
        torch.from_numpy(centers[draw.integers(0, 25, 2000)] + 0.5 * draw.standard_normal((2000, 16)))
    )
    near = similarities("max_herding", pool)
    exact = near[:, choose("max_herding", [pool], 40).row_ids].max(1).mean()
    monkeypatch.setattr(reference, "WHOLE", 1000)
    monkeypatch.setattr(reference, "SAMPLE", 500)
    assert near[:, choose("max_herding", [pool], 40).row_ids].max(1).mean() > 0.97 * exact


def test_of_a_sampled_pool_a_batch_is_the_best_of_rows_drawn_anew_each_round(monkeypatch):
    monkeypatch.setattr(reference, "WHOLE", 500)
    monkeypatch.setattr(reference, "SAMPLE", 2000)  # every row of the pool, so that the plain loop can follow
    monkeypatch.setattr(coverer, "CANDIDATES", 100)
    monkeypatch.setattr(coverer, "ROOM", 4)
    drawn = {}
    for round in (1, 2):
        pool = make_pool(2000, labeled=0.0, unavailable=0.0, round=round)
        drawn[round] = row_uniforms(pool.row_ids, pool.seed, "query", "candidates", round) < 0.05
        chosen = choose("max_herding", [pool], 5)
        near = similarities("max_herding", pool)
        pool.available[:] = drawn[round]
        picks, scores = plain_greedy(near, pool, 5)
        assert chosen.row_ids.tolist() == picks
        assert chosen.scores == pytest.approx(scores)
    assert (drawn[1] != drawn[2]).any()


def test_there_are_more_candidates_than_picks():
    assert candidates(20_000, 20_000, 20) == pytest.approx(2048 / 20_000)
    assert candidates(20_000, 20_000, 200) == pytest.approx(12_800 / 20_000)
    assert candidates(20_000, 9, 20) == candidates(16_384, 16_384, 20) == 1.0


def test_the_least_distance_leaves_duplicates_out():
    x = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    assert least_distance(x) == pytest.approx(2**0.5)
    assert least_distance(x[:2]) == least_distance(x[:0]) == 1.0


def test_the_radius_of_probcover_keeps_95_of_100_balls_within_one_cluster():
    draw = np.random.default_rng(3)
    pool = make_pool(400, features=8, classes=3, labeled=0.0, unavailable=0.0)
    pool.embeddings.copy_(torch.from_numpy(np.eye(8)[draw.integers(0, 3, 400)] + 0.05 * draw.standard_normal((400, 8))))
    squared = squared_distances(pool)
    kind = pool.embeddings.numpy()[:, :3].argmax(1)
    radius = radius_of(pool)
    pure = [all(kind[squared[i] < radius**2] == kind[i]) for i in range(400)]
    wider = [all(kind[squared[i] < (1.02 * radius) ** 2] == kind[i]) for i in range(400)]
    assert np.mean(pure) >= 0.94 > np.mean(wider)
    chosen = choose("probcover", [pool], 3)
    assert sorted(kind[chosen.row_ids]) == [0, 1, 2]

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool

from distal.query.nearest import Rows
from distal.query.subpool import FINE, Neighbourhood, hashed, merge, nearest_rows


def rows_of(pool, row_ids):
    return Rows(np.asarray(row_ids), (pool.embeddings[torch.from_numpy(np.asarray(row_ids))].numpy(),))


def plain_nearest(pool, query, count):
    """Order all rows by rounded distance, then row id, in float64."""
    x = pool.embeddings.double().numpy()
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    x = x / np.where(norms > 0.0, norms, 1.0)
    steps = [round((1.0 - float(x[query] @ row)) / 2.0 * FINE) for row in x]
    used = np.flatnonzero(pool.available | pool.labeled).tolist()
    return sorted(used, key=lambda i: (max(steps[i], 0), i))[:count]


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 400),
    count=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    signs=st.booleans(),
    ends=st.lists(st.integers(0, 25), max_size=8),
)
def test_neighbours_are_those_of_the_plain_sort_whatever_the_cut(n, count, seed, signs, ends):
    pool = make_pool(n, seed, features=4)
    if signs:
        pool.embeddings.copy_(torch.where(pool.embeddings > 0.0, 1.0, -1.0))  # exact cosines, many ties
    queries = np.random.default_rng(seed).permutation(n)[:5]
    near = merge([nearest_rows(part, rows_of(pool, queries), count) for part in cut(pool, ends)], count)
    one = nearest_rows(pool, rows_of(pool, queries), count)
    assert np.array_equal(near.row_ids[:, : one.row_ids.shape[1]], one.row_ids)
    assert np.array_equal(near.distances, one.distances)
    for query, found in zip(queries, near.row_ids, strict=True):
        found = found[found >= 0]
        expected = plain_nearest(pool, query, count)
        assert len(found) == len(expected)
        if signs:
            assert found.tolist() == expected
        else:
            assert len(set(found) & set(expected)) >= len(expected) - 1  # one pair may round to the other side


def test_zero_rows_and_duplicates_have_neighbours_too():
    pool = make_pool(60, labeled=0.0, unavailable=0.0)
    pool.embeddings[:30] = 0.0
    pool.embeddings[30:] = torch.ones(6)
    near = nearest_rows(pool, rows_of(pool, [3, 40]), 4)
    assert near.row_ids.tolist() == [[0, 1, 2, 3], [30, 31, 32, 33]]


@pytest.mark.parametrize("ends", [[], [3], [1, 5, 6, 20, 33, 50, 61]])
def test_a_hashed_sub_pool_is_of_about_the_size_asked_for_others_each_round_and_the_same_for_any_cut(ends):
    pool = make_pool(1000)
    total = int(pool.available.sum())
    whole = hashed(pool, 200, total).available
    assert np.array_equal(np.concatenate([hashed(part, 200, total).available for part in cut(pool, ends)]), whole)
    assert 150 < whole.sum() < 250
    assert not (whole & ~pool.available).any()
    assert (whole & hashed(dataclasses.replace(pool, round=2), 200, total).available).sum() < 80
    assert np.array_equal(hashed(pool, 5000, total).available, pool.available)


def test_a_neighbourhood_grows_by_what_was_labeled_since_and_is_as_if_found_at_once():
    pool = make_pool(500, labeled=0.0, unavailable=0.0)
    grown = Neighbourhood.empty()
    assert grown.restrict(pool) is pool
    for labeled in ([4, 90], [4, 90, 200], [4, 90, 200, 201, 499]):
        news = grown.missing(np.asarray(labeled))
        grown = grown.grown(news, nearest_rows(pool, rows_of(pool, news), 20))
    at_once = Neighbourhood.empty().grown(np.asarray(labeled), nearest_rows(pool, rows_of(pool, labeled), 20))
    assert np.array_equal(grown.row_ids, at_once.row_ids)
    assert np.array_equal(grown.centers, labeled)
    assert len(grown.missing(np.asarray(labeled))) == 0
    left = grown.restrict(pool).available
    assert np.array_equal(np.flatnonzero(left), grown.row_ids)
    assert 20 <= left.sum() <= 100


def test_most_of_a_rare_class_lies_in_the_neighbourhood_of_one_of_its_rows():
    draw = np.random.default_rng(0)
    pool = make_pool(5000, features=16, labeled=0.0, unavailable=0.0)
    rare = draw.permutation(5000)[:50]
    centre = draw.standard_normal(16) * 1.5
    pool.embeddings[torch.from_numpy(rare)] += torch.from_numpy(centre).float()
    seen = Neighbourhood.empty()
    for _ in range(3):  # look up, label what was found, look up again: a twentieth of the pool is looked at
        news = seen.missing(rare[:1] if not len(seen.centers) else np.intersect1d(seen.row_ids, rare))
        seen = seen.grown(news, nearest_rows(pool, rows_of(pool, news), 20))
    assert np.isin(rare, seen.row_ids).mean() > 0.8
    assert len(seen.row_ids) < 500
    margin = choose("margin", [seen.restrict(pool)], 30)
    assert np.isin(margin.row_ids, seen.row_ids).all()

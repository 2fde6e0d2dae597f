from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import make_pool

from distal.query.nearest import Rows
from distal.query.reference import inverse, lengths
from distal.query.subpool import FINE, Near, Neighbourhood, drawn_rows, merge, nearest_rows


def unit(x: torch.Tensor) -> torch.Tensor:
    return x * inverse(lengths(x))[:, None]


def found(x: torch.Tensor, usable: np.ndarray, queries: list[int], count: int, ends: list[int]) -> Near:
    """Look the neighbours up on shards of these rows."""
    rows = Rows(np.asarray(queries), (x[torch.tensor(queries)].numpy(),))
    edges = sorted({0, *(16 * end for end in ends if 16 * end < len(x)), len(x)})
    parts = [nearest_rows(x[a:b].clone(), a, usable[a:b], rows, count) for a, b in pairwise(edges)]
    return merge(parts, count)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 3000),
    count=st.integers(1, 60),
    seed=st.integers(0, 10_000),
    signs=st.booleans(),
    ends=st.lists(st.integers(0, 180), max_size=8),
)
def test_neighbours_are_those_of_the_plain_sort_whatever_the_cut(n, count, seed, signs, ends):
    draw = np.random.default_rng(seed)
    x = torch.from_numpy(draw.standard_normal((n, 4)).astype(np.float32))
    if signs:
        x = torch.where(x > 0.0, 1.0, -1.0)  # exact cosines, many ties
    x, usable = unit(x), draw.random(n) < 0.9
    queries = draw.permutation(n)[:5].tolist()
    near, one = found(x, usable, queries, count, ends), found(x, usable, queries, count, [])
    assert np.array_equal(near.row_ids, one.row_ids)
    assert np.array_equal(near.distances, one.distances)
    for query, ids in zip(queries, near.row_ids, strict=True):
        steps = np.rint((1.0 - x.double().numpy() @ x[query].double().numpy()) / 2.0 * FINE).clip(0.0)
        expected = sorted(np.flatnonzero(usable).tolist(), key=lambda i, s=steps: (s[i], i))[:count]
        ids = ids[ids >= 0].tolist()
        assert len(ids) == len(expected)
        if signs:
            assert ids == expected
        else:
            assert len(set(ids) & set(expected)) >= len(expected) - 1  # one pair may round to the other side


def test_zero_rows_and_duplicates_have_neighbours_too():
    x = torch.zeros(60, 6)
    x[30:] = unit(torch.ones(30, 6))
    near = found(x, np.ones(60, dtype=bool), [3, 40], 4, [])
    assert near.row_ids.tolist() == [[0, 1, 2, 3], [30, 31, 32, 33]]


def test_where_there_are_fewer_rows_than_neighbours_the_rest_are_none():
    near = found(unit(torch.randn(40, 3, generator=torch.Generator().manual_seed(0))), np.arange(40) < 3, [9], 5, [1])
    assert near.row_ids[0, 3:].tolist() == [-1, -1]
    assert sorted(near.row_ids[0, :3].tolist()) == [0, 1, 2]


@pytest.mark.parametrize(("rows", "size"), [(1000, 1), (1000, 200), (1000, 999), (10**12, 50_000), (7, 7), (7, 50)])
def test_a_sub_pool_is_of_about_the_size_asked_for_and_others_each_round(rows, size):
    drawn = drawn_rows(rows, size, 0, "query", "subpool", 1)
    assert (np.diff(drawn) > 0).all()
    assert drawn[0] >= 0
    assert drawn[-1] < rows
    assert abs(len(drawn) - min(size, rows)) <= 5 * min(size, rows) ** 0.5
    assert np.array_equal(drawn, drawn_rows(rows, size, 0, "query", "subpool", 1))
    again = drawn_rows(rows, size, 0, "query", "subpool", 2)
    if 1 < size < rows // 2:
        assert len(np.intersect1d(drawn, again)) <= 2 * size * size / rows + 5


def test_every_row_is_as_likely_to_be_in_a_sub_pool():
    seen = np.zeros(400)
    for round in range(400):
        seen[drawn_rows(400, 100, 3, "query", "subpool", round)] += 1
    assert abs(seen.mean() - 100) < 2
    assert seen.std() < 1.3 * (400 * 0.25 * 0.75) ** 0.5


def test_a_neighbourhood_grows_by_what_was_labeled_since_and_is_as_if_found_at_once():
    x, usable = unit(make_pool(500).embeddings), np.ones(500, dtype=bool)
    grown = Neighbourhood.empty()
    for labeled in ([4, 90], [4, 90, 200], [4, 90, 200, 201, 499]):
        news = grown.missing(np.asarray(labeled))
        grown = grown.grown(news, found(x, usable, news.tolist(), 20, []))
    at_once = Neighbourhood.empty().grown(np.asarray(labeled), found(x, usable, labeled, 20, []))
    assert np.array_equal(grown.row_ids, at_once.row_ids)
    assert np.array_equal(grown.centers, labeled)
    assert len(grown.missing(np.asarray(labeled))) == 0
    assert 20 <= len(grown.row_ids) <= 100


def test_most_of_a_rare_class_lies_in_the_neighbourhood_of_one_of_its_rows():
    draw = np.random.default_rng(0)
    x = make_pool(5000, features=16).embeddings
    rare = draw.permutation(5000)[:50]
    x[torch.from_numpy(rare)] += torch.from_numpy(draw.standard_normal(16) * 1.5).float()
    x, usable = unit(x), np.ones(5000, dtype=bool)
    seen = Neighbourhood.empty()
    for _ in range(3):  # look up, label what was found, look up again: a twentieth of the pool is looked at
        news = seen.missing(rare[:1] if not len(seen.centers) else np.intersect1d(seen.row_ids, rare))
        seen = seen.grown(news, found(x, usable, news.tolist(), 20, []))
    assert np.isin(rare, seen.row_ids).mean() > 0.8
    assert len(seen.row_ids) < 500

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool, same_whatever_the_cut

from distal.errors import TrainingError
from distal.query.lloyd import k_means
from distal.streams import stream

NAMES = ["kmeans", "typiclust"]


def unit(pool):
    x = pool.embeddings.double().numpy()
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def clusters_of(name, pool, k):
    """Part the rows that the strategy parts, in float64; return centers, and the cluster of each row of the pool."""
    used = pool.available if name == "kmeans" else pool.available | pool.labeled
    x = unit(pool)
    number = k if name == "kmeans" else min(int(pool.labeled.sum()) + k, 500)
    centers = k_means(x[used].astype(np.float32), number, stream(pool.seed, "query", name, pool.round)).centers
    squared = np.array([[float(((a - c) ** 2).sum()) for c in centers.astype(np.float64)] for a in x])
    return squared, np.where(used, squared.argmin(1), -1)


def plain_kmeans(pool, k):
    squared, cluster = clusters_of("kmeans", pool, k)
    sizes = np.bincount(cluster[cluster >= 0], minlength=squared.shape[1])
    queues = [
        sorted(np.flatnonzero(cluster == c).tolist(), key=lambda i, c=c: (np.round(squared[i, c] * 2.0**17), i))
        for c in sorted(range(len(sizes)), key=lambda c: (-sizes[c], c))
    ]
    return round_robin(queues, k)


def plain_typiclust(pool, k):
    squared, cluster = clusters_of("typiclust", pool, k)
    x = unit(pool)
    order = sorted(
        range(squared.shape[1]),
        key=lambda c: ((cluster[pool.labeled] == c).sum(), -(cluster == c).sum(), c),
    )
    queues = {}
    for c in order:
        members = np.flatnonzero(cluster == c)
        count = max(min(20, len(members) // 2), 1)

        def typicality(i, members=members, count=count):
            distances = sorted(float(np.linalg.norm(x[i] - x[j])) for j in members if j != i)[:count]
            return 1.0 / (np.mean(distances) + 1e-5) if distances else 0.0

        queues[c] = sorted((i for i in members if pool.available[i]), key=lambda i: (-typicality(i), i))
    large = [queues[c] for c in order if (cluster == c).sum() > 5]
    picks = round_robin(large, k)
    return picks + round_robin([queues[c] for c in order if (cluster == c).sum() <= 5], k - len(picks))


def round_robin(queues, k):
    picks = [
        queue[visit] for visit in range(max(map(len, queues), default=0)) for queue in queues if visit < len(queue)
    ]
    return [int(i) for i in picks[:k]]


@pytest.mark.parametrize("k", [1, 8, 25, 290])
@pytest.mark.parametrize("labeled", [0.0, 0.1])
def test_picks_are_those_of_loops_in_float64(k, labeled):
    pool = make_pool(300, seed=k, features=12, labeled=labeled)
    k = min(k, int(pool.available.sum()))
    assert choose("kmeans", cut(pool, [4, 11]), k).row_ids.tolist() == plain_kmeans(pool, k)
    assert choose("typiclust", cut(pool, [4, 11]), k).row_ids.tolist() == plain_typiclust(pool, k)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n=st.integers(1, 500),
    k=st.integers(1, 510),
    seed=st.integers(0, 10_000),
    labeled=st.sampled_from([0.0, 0.3, 1.0]),
    whole=st.integers(0, 2),
    sampled=st.booleans(),
    ends=st.lists(st.integers(0, 32), min_size=1, max_size=8),
)
def test_the_same_bits_come_out_for_any_cut(name, n, k, seed, labeled, whole, sampled, ends):
    pool = make_pool(n, seed, features=5, labeled=labeled, whole=whole)
    same_whatever_the_cut(name, pool, k, ends, sampled)


def test_a_batch_beyond_one_pass_keeps_the_order_of_the_plan():
    pool = make_pool(1500, features=5, labeled=0.0, unavailable=0.0)
    chosen = choose("kmeans", [pool], 1100)
    assert chosen.passes == 2
    assert len(set(chosen.row_ids.tolist())) == 1100


@pytest.mark.parametrize("name", NAMES)
def test_each_of_well_parted_groups_gives_one_row_and_labeled_ones_give_none_to_typiclust(name):
    draw = np.random.default_rng(5)
    pool = make_pool(400, features=8, labeled=0.0, unavailable=0.0)
    group = draw.integers(0, 8, 400)
    pool.embeddings.copy_(torch.from_numpy(np.eye(8)[group] + 0.02 * draw.standard_normal((400, 8))))
    assert sorted(group[choose(name, cut(pool, [7]), 8).row_ids]) == list(range(8))
    for kind in (1, 4, 6):
        row = int(np.flatnonzero(group == kind)[5])
        pool.labels[row], pool.available[row] = 0, False
    if name == "typiclust":
        assert set(group[choose(name, cut(pool, [7]), 5).row_ids]) == {0, 2, 3, 5, 7}


@pytest.mark.parametrize("name", NAMES)
def test_one_image_repeated_and_zero_embeddings_give_every_row_once(name):
    pool = make_pool(100, labeled=0.0, unavailable=0.2)
    for value in (torch.randn(6, generator=torch.Generator().manual_seed(0)), torch.zeros(6)):
        pool.embeddings[:] = value
        chosen = choose(name, cut(pool, [2, 4]), 500)
        assert np.array_equal(np.sort(chosen.row_ids), np.flatnonzero(pool.available))


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_of_the_model_is_refused_and_the_row_is_named(name):
    pool = make_pool(100, labeled=0.0, unavailable=0.0)
    pool.embeddings[77, 2] = torch.nan
    with pytest.raises(TrainingError, match="row 77 is nan"):
        choose(name, cut(pool, [2]), 3)


def test_lloyd_ends_where_every_center_is_the_mean_of_its_rows_and_every_row_is_with_its_nearest():
    x = np.random.default_rng(0).standard_normal((500, 3)).astype(np.float32)
    found = k_means(x, 7, np.random.default_rng(1))
    for c in range(7):
        assert np.allclose(found.centers[c], x[found.labels == c].astype(np.float64).mean(0), atol=1e-5)
    squared = ((x[:, None] - found.centers[None]) ** 2).sum(-1)
    assert (squared[np.arange(500), found.labels] <= squared.min(1) + 1e-5).all()


@pytest.mark.parametrize(("n", "k"), [(1, 3), (5, 5), (40, 7)])
def test_lloyd_takes_few_rows_and_duplicates(n, k):
    x = np.ones((n, 4), dtype=np.float32)
    found = k_means(x, k, np.random.default_rng(0))
    assert found.centers.shape == (min(n, k), 4)
    assert np.isfinite(found.centers).all()
    assert (found.labels >= 0).all()

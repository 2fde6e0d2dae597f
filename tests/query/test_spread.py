import numpy as np
import pytest
import torch
from query_pools import choose, cut, make_pool

from distal.query.spread import average_linkage, in_turns, nearest_to_means
from distal.streams import row_uniforms


def plain_linkage(x, clusters):
    """Merge the two clusters of smallest mean distance until so many are left."""
    groups = [[i] for i in range(len(x))]
    between = np.sqrt(((x[:, None].astype(float) - x[None]) ** 2).sum(-1))
    while len(groups) > clusters:
        pairs = [(between[np.ix_(a, b)].mean(), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups[:i])]
        _, i, j = min(pairs)
        groups[j] += groups.pop(i)
    return groups


def plain_cluster_margin(pool, k):
    p = np.sort(pool.probs.numpy(), 1)
    free = np.flatnonzero(pool.available)
    found = sorted(free, key=lambda i: (p[i, -1] - p[i, -2], i))[: 10 * k]
    number = dict(zip(found, row_uniforms(np.array(found), 0, "query", "cluster_margin", pool.round), strict=True))
    groups = plain_linkage(pool.embeddings.numpy()[found], k)
    groups = [sorted((found[i] for i in group), key=number.get) for group in groups]
    groups.sort(key=lambda group: (len(group), number[group[0]]))
    picks = []
    while len(picks) < k:
        picks += [group.pop(0) for group in groups if group]
    return picks[:k]


def test_cluster_margin_picks_are_those_of_the_plain_loop():
    pool = make_pool(300)
    assert choose("cluster_margin", cut(pool, [4, 9]), 4).row_ids.tolist() == plain_cluster_margin(pool, 4)


def test_clusters_take_turns_the_smallest_first():
    clusters = np.array([0, 0, 0, 1, 2, 2])
    numbers = np.array([0.9, 0.1, 0.5, 0.7, 0.8, 0.2])
    assert in_turns(clusters, numbers).tolist() == [3, 5, 1, 4, 2, 0]


def test_as_many_clusters_as_rows_are_the_rows():
    assert average_linkage(np.zeros((3, 2), dtype=np.float32), 5).tolist() == [0, 1, 2]


def test_drop_query_asks_one_of_each_heap_of_rows_whose_class_does_not_survive_dropout():
    pool = make_pool(400, labeled=0.0, unavailable=0.0)
    pool.dropout_probs[:] = pool.probs[:, None]
    unsure = np.arange(100, 130)
    pool.dropout_probs[unsure, :2] = pool.probs[unsure].roll(1, 1)[:, None]  # two of three draws
    pool.dropout_probs[200:300, :1] = pool.probs[200:300].roll(1, 1)[:, None]  # one of three
    heaps = torch.arange(30) % 3
    pool.embeddings[unsure] = 100.0 * torch.eye(6)[heaps] + 0.1 * pool.embeddings[unsure]
    chosen = choose("drop_query", cut(pool, [3, 8, 20]), 3)
    assert sorted(heaps[chosen.row_ids - 100].tolist()) == [0, 1, 2]
    for row in chosen.row_ids:
        heap = unsure[heaps == heaps[row - 100]]
        mean = pool.embeddings[heap].mean(0)
        assert row == heap[int((pool.embeddings[heap] - mean).norm(dim=1).argmin())]
    assert (chosen.scores == 1.0).all()


def test_where_too_few_rows_are_unsure_others_fill_up():
    pool = make_pool(100, labeled=0.0, unavailable=0.0)
    pool.dropout_probs[:] = pool.probs[:, None]
    pool.dropout_probs[7] = pool.probs[7].roll(1)
    chosen = choose("drop_query", [pool], 5)
    assert chosen.row_ids[0] == 7
    assert chosen.scores.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.filterwarnings("error")
def test_candidates_that_coincide_fill_up_the_batch():
    x = np.repeat(np.eye(2, dtype=np.float32), 10, axis=0)
    found = nearest_to_means(x, 5, 0)
    assert len(set(found.tolist())) == 5
    assert {0, 10} <= set(found.tolist())

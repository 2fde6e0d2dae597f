from itertools import pairwise

import numpy as np
import pytest
import torch
from query_pools import choose, cut, make_pool

from distal.query import View, rare
from distal.query.rare import next_on_line, places, threshold
from distal.streams import stream


def plain_lines(pool):
    """Lay out each class's line: available and labeled rows, the surest first, ties by row id."""
    p = pool.probs.double().numpy()
    used = np.flatnonzero(pool.available | pool.labeled)
    value = np.where(
        np.arange(p.shape[1]) == p.argmax(1)[:, None], p.max(1, keepdims=True), p - p.max(1, keepdims=True)
    )
    return value, [sorted(used, key=lambda i, c=c: (-value[i, c], i)) for c in range(p.shape[1])]


def plain_direct(pool, k):
    """Find each threshold by counting errors at every cut, then walk away from it row by row."""
    value, lines = plain_lines(pool)
    classes = len(lines)
    labels = pool.labels
    counts = [int((labels == c).sum()) for c in range(classes)]
    picks, places_ = [], {}
    for turn, c in enumerate(sorted(range(classes), key=lambda c: (counts[c], c))):
        known = [i for i in lines[c] if labels[i] >= 0]
        right = [sum((labels[i] == c) == (at < h) for at, i in enumerate(known)) for h in range(len(known) + 1)]
        h = right.index(max(right))
        line = [2.0, *(value[i, c] for i in known), -2.0]
        t = line[h] if h == 0 else line[h + 1] if h == len(known) else (line[h] + line[h + 1]) / 2
        free = [i for i in lines[c] if pool.available[i] and i not in picks]
        before = sorted((i for i in free if value[i, c] > t), key=lambda i: (value[i, c] - t, i))
        behind = sorted((i for i in free if value[i, c] <= t), key=lambda i: (t - value[i, c], i))
        share, step, mine = k // classes + (turn < k % classes), 0, []
        while len(mine) < share and (before or behind):
            side = before if step % 2 == 0 else behind
            if side:
                mine.append(side.pop(0))
            step += 1
        picks += mine
        places_ |= {i: place for place, i in enumerate(mine)}
    return sorted(picks, key=lambda i: places_[i])


def plain_galaxy(pool, k):
    """Walk node by node, as the paper tells it."""
    value, lines = plain_lines(pool)
    classes = len(lines)
    label = {i: int(pool.labels[i]) for i in lines[0]}
    draw = stream(pool.seed, "query", "galaxy", pool.round)
    picks = []
    for c in draw.integers(classes, size=k):
        line = lines[c]
        at = [place for place, i in enumerate(line) if label[i] >= 0]
        unlike = [(a, b) for a, b in pairwise(at) if (label[line[a]] == c) != (label[line[b]] == c)]
        stretches = [(b - a - 1, a) for a, b in unlike if b - a > 1]
        free = [place for place, i in enumerate(line) if label[i] < 0]
        at_random = free[draw.integers(len(free))] if not unlike else None
        if stretches:
            length, a = min(stretches)
            pick = (a + 1 + a + length) // 2
        elif unlike:
            # Steps to the cut between places a and a + 1; the first cut of equals, its left side first.
            steps = [(min(a - f if f < a else f - a - 1 for f in free), n) for n, (a, _) in enumerate(unlike)]
            a = unlike[min(steps)[1]][0]
            pick = min(free, key=lambda f: (a - f if f < a else f - a - 1, f))
        else:
            pick = at_random
        label[line[pick]] = int(value[line[pick]].argmax())
        picks.append(line[pick])
    return picks


@pytest.mark.parametrize("labeled", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_direct_picks_are_those_of_the_plain_loop(labeled, seed):
    pool = make_pool(150, seed, labeled=labeled)
    assert choose("direct", cut(pool, [2, 7]), 23).row_ids.tolist() == plain_direct(pool, 23)


@pytest.mark.parametrize("labeled", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("seed", range(4))
def test_galaxy_picks_are_those_of_a_walk_node_by_node(labeled, seed):
    pool = make_pool(150, seed, labeled=labeled)
    chosen = choose("galaxy", cut(pool, [2, 7]), 40).row_ids
    assert chosen.tolist() == plain_galaxy(pool, 40)


def test_galaxy_on_more_rows_than_its_lines_hold_picks_the_same_for_any_cut(monkeypatch):
    monkeypatch.setattr(rare, "GRAPH", 100)
    pool = make_pool(1000)
    one, many = choose("galaxy", [pool], 30), choose("galaxy", cut(pool, [10, 30, 40]), 30)
    assert one.row_ids.tolist() == many.row_ids.tolist()


def test_a_threshold_lies_midway_between_the_labels_that_it_parts_best():
    line = np.array([0.9, 0.7, 0.5, -0.1, -0.3])
    assert threshold(line, np.array([1, 1, 0, 1, 0], bool)) == pytest.approx(0.6)
    assert threshold(line, np.zeros(5, bool)) == 2.0
    assert threshold(line, np.ones(5, bool)) == -2.0


def test_a_class_without_any_label_gets_the_rows_that_look_most_like_it():
    pool = make_pool(200, labeled=0.0, unavailable=0.0)
    chosen = choose("direct", [pool], 4).row_ids.tolist()
    assert chosen == pool.probs.argmax(0).tolist()


def test_places_are_the_probability_of_the_likeliest_and_the_lag_of_others():
    found = places(torch.tensor([[0.25, 0.5, 0.25], [0.5, 0.5, 0.0]]))
    assert found.tolist() == [[-0.25, 0.5, -0.25], [0.5, 0.0, -0.5]]


def test_a_line_with_labels_of_one_kind_has_nowhere_to_ask():
    assert next_on_line(np.array([True, False, True]), np.array([False, True, False])) is None
    assert next_on_line(np.array([True, False, False]), np.array([False, True, False])) == 0


def test_a_labeled_row_far_away_is_not_asked_again():
    pool = make_pool(64, labeled=0.5, unavailable=0.0)
    view = View(pool.row_ids, pool.available, pool.labels, 16, 3, 1, pool.tensors, pool.class_counts)
    for name in ("direct", "galaxy"):
        assert not pool.labeled[choose(name, [view], 64).row_ids].any()

from itertools import permutations

import pytest
import torch
from query_pools import choose, cut, gradient_embeddings, make_pool
from scipy import stats

from distal.query import View, nearest, selection
from distal.query.badge import residuals


def law(pool: View, k: int) -> dict[tuple[int, ...], float]:
    """Enumerate the ordered batches that k-means++ seeding can give, with their probabilities."""
    g = gradient_embeddings(pool)
    squared = ((g[:, None] - g[None]) ** 2).sum(-1)
    first = int((g**2).sum(1).argmax())
    probabilities = {}
    for others in permutations([i for i in range(len(g)) if i != first], k - 1):
        probability, picks = 1.0, [first]
        for i in others:
            weight = squared[picks].min(0)
            probability *= weight[i] / weight.sum()
            picks.append(i)
        probabilities[tuple(picks)] = probability
    return probabilities


@pytest.mark.parametrize("most", [1, 3, 64])
def test_batches_follow_the_law_of_the_plain_loop(most, monkeypatch):
    monkeypatch.setattr(selection, "FEWEST", min(most, 64))
    monkeypatch.setattr(selection, "MOST", most)
    monkeypatch.setattr(nearest, "ROWS", 16)  # six rows need no more, and thousands of batches are drawn
    monkeypatch.setattr(nearest, "GROUP", 16)
    pool = make_pool(6, seed=3, classes=3, features=2, labeled=0.0, unavailable=0.0)
    pool.embeddings[1] = pool.embeddings[0] * 1.05  # near twins: refusals happen
    pool.probs[1] = pool.probs[0]
    expected = law(pool, 4)
    batches = 500
    counts = dict.fromkeys(expected, 0)
    for seed in range(batches):
        view = View(pool.row_ids, pool.available, pool.labels, 16, seed, 1, pool.tensors)
        counts[tuple(choose("badge", [view], 4).row_ids.tolist())] += 1
    likely = [batch for batch, p in expected.items() if p * batches >= 5]
    rest = batches - sum(counts[batch] for batch in likely), batches * (1 - sum(expected[batch] for batch in likely))
    observed = [*(counts[batch] for batch in likely), rest[0]]
    wanted = [*(expected[batch] * batches for batch in likely), rest[1]]
    assert len(likely) > 10
    assert stats.chisquare(observed, wanted).pvalue > 1e-3


def test_the_first_pick_has_the_largest_norm_and_scores_are_squared_distances_at_pick_time():
    pool = make_pool(300, labeled=0.0, unavailable=0.0)
    g = gradient_embeddings(pool)
    chosen = choose("badge", [pool], 40)
    assert chosen.row_ids[0] == int((g**2).sum(1).argmax())
    for position in range(1, 40):
        before = g[chosen.row_ids[:position]]
        exact = ((before - g[chosen.row_ids[position]]) ** 2).sum(1).min()
        assert chosen.scores[position] == pytest.approx(exact, rel=1e-3, abs=1e-5)


def test_picks_never_repeat_and_are_available():
    pool = make_pool(500, labeled=0.2, unavailable=0.2)
    chosen = choose("badge", cut(pool, [5, 9]), 200)
    assert len(set(chosen.row_ids.tolist())) == 200
    assert pool.available[chosen.row_ids].all()


def test_rows_that_coincide_with_a_pick_come_last_by_lowest_row_id():
    pool = make_pool(90, labeled=0.0, unavailable=0.0)
    pool.probs[:], pool.embeddings[:] = pool.probs[0].clone(), pool.embeddings[0].clone()
    pool.embeddings[40], pool.embeddings[70] = pool.embeddings[40] * 3, pool.embeddings[70] * 2
    chosen = choose("badge", cut(pool, [1, 2]), 60).row_ids.tolist()
    assert chosen[0] == 40
    distinct = {40, 70, min(set(chosen[1:3]) - {70})}
    assert set(chosen[:3]) == distinct
    assert chosen[3:] == [i for i in range(90) if i not in distinct][:57]


def test_a_model_that_is_certain_of_everything_still_gives_a_batch():
    pool = make_pool(50, labeled=0.0, unavailable=0.0)
    pool.probs[:] = torch.eye(4)[torch.arange(50) % 4]
    assert choose("badge", [pool], 7).row_ids.tolist() == list(range(7))


def test_residuals_are_probabilities_less_the_likeliest_class():
    out = residuals(torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]))
    assert torch.allclose(out, torch.tensor([[0.2, -0.5, 0.3], [-0.6, 0.4, 0.2]]))

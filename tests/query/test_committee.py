import math

import numpy as np
import pytest
import torch
from query_pools import choose, cut, make_pool

from distal.query import View, bald, consensus_kl, power_bald, query_by_committee


def entropy(p):
    return -sum(x * math.log(x) for x in p if x > 0)


def plain(name: str, committee: torch.Tensor) -> list[float]:
    """Score by the loops that the papers write down, in float64."""
    scores = []
    for members in committee.double().tolist():
        count, classes = len(members), len(members[0])
        consensus = [sum(member[c] for member in members) / count for c in range(classes)]
        if name == "bald":
            scores.append(entropy(consensus) - sum(entropy(member) for member in members) / count)
        elif name == "consensus_kl":
            terms = [q * math.log(q / consensus[c]) for member in members for c, q in enumerate(member) if q > 0]
            scores.append(sum(terms) / count)
        else:
            votes = [member.index(max(member)) for member in members]
            scores.append(entropy([votes.count(c) / count for c in range(classes)]))
    return scores


@pytest.mark.parametrize("strategy", [bald, consensus_kl, query_by_committee])
def test_scores_are_those_of_the_definition(strategy):
    pool = make_pool(500, classes=6)
    assert np.allclose(strategy(pool), plain(strategy.__name__, pool.committee), atol=2e-6)


@pytest.mark.parametrize("name", ["bald", "consensus_kl", "query_by_committee"])
def test_picks_are_those_of_a_sort_of_the_definition(name):
    pool = make_pool(300)
    scores = np.round(plain(name, pool.committee), 4)  # votes of five members tie all the time
    pool.committee[:] = pool.committee[np.arange(300)]
    chosen = choose(name, cut(pool, [3, 9]), 40)
    expected = sorted(np.flatnonzero(pool.available), key=lambda i: (-scores[i], i))[:40]
    assert np.round(chosen.scores, 4).tolist() == pytest.approx([scores[i] for i in expected], abs=2e-4)
    if name == "query_by_committee":
        assert chosen.row_ids.tolist() == expected


def test_members_of_one_mind_tell_nothing_and_certain_ones_stay_finite():
    pool = make_pool(40)
    pool.committee[:] = pool.committee[:, :1].clone()
    assert float(bald(pool).abs().max()) < 1e-6
    pool.committee[:] = torch.eye(4)[torch.arange(40) % 4][:, None]
    assert torch.isfinite(power_bald(pool)).all()
    assert (query_by_committee(pool) == 0.0).all()


def test_power_bald_asks_each_row_as_often_as_its_information_says():
    q = torch.tensor([[[0.9, 0.1], [0.1, 0.9]], [[0.7, 0.3], [0.3, 0.7]], [[0.6, 0.4], [0.4, 0.6]]]).repeat(4, 1, 1)
    weights = np.asarray(plain("bald", q))
    first = np.zeros(12)
    draws = 4000
    for round in range(draws):
        view = View(np.arange(12), np.ones(12, bool), np.full(12, -1), 16, 0, round, {"committee": q})
        first[int(power_bald(view).argmax())] += 1
    expected = draws * weights / weights.sum()
    # Multinomial counts: five standard deviations.
    assert (np.abs(first - expected) < 5 * np.sqrt(expected)).all()

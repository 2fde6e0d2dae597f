import numpy as np
import pytest
import torch
from query_pools import choose, cut, make_pool

from distal.query import information
from distal.query.information import Cases, expected_entropy
from distal.streams import row_uniforms, stream


def entropy(p: np.ndarray, axis: int = -1) -> np.ndarray:
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(axis)


def plain_epig(pool, k, targets):
    """Average the mutual information with each target's label, from the K x K joint, in float64."""
    q = pool.committee.double().numpy()
    uniforms = row_uniforms(pool.row_ids, pool.seed, "query", "epig", "targets", pool.round)
    free = np.flatnonzero(pool.available)
    chosen = free[np.argsort(uniforms[free])[:targets]]
    scores = np.full(len(q), -np.inf)
    for i in free:
        told = []
        for t in chosen:
            joint = np.einsum("bc,bd->cd", q[i], q[t]) / q.shape[1]
            told.append(entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint.ravel()))
        scores[i] = np.mean(told)
    return np.argsort(-scores, kind="stable")[:k], scores


def plain_batchbald(pool, k, cases):
    """Add up H(y, y_picks) - H(y_picks) over every joint answer, in float64, with the draws of the same stream."""
    q = pool.committee.double().numpy()
    n, members = q.shape[:2]
    own = entropy(q).mean(1)
    free = pool.available.copy()
    joint, importance = np.ones((1, members)), None  # p(answers | member), and 1 / (draws p(answers)) of drawn answers
    picks, gains = [], []
    while len(picks) < k:
        rows = np.einsum("mb,nbc->nmc", joint, q) / members
        seen = joint.mean(1)
        if importance is None:
            conditional = entropy(rows.reshape(n, -1)) - entropy(seen)
        else:
            share = rows / seen[None, :, None]
            conditional = entropy(share).mean(1)
        gain = np.where(free, conditional - own, -np.inf)
        picks.append(int(gain.argmax()))
        gains.append(gain[picks[-1]])
        free[picks[-1]] = False
        uniforms = 1.0 - stream(pool.seed, "query", "batchbald", pool.round, len(picks)).random(cases)
        longer = joint[:, None, :] * q[picks[-1]].T[None]  # [M, K, B]
        chances = longer.mean(2)
        if importance is not None:
            answer = [int(np.searchsorted(np.cumsum(c), u * c.sum())) for c, u in zip(chances, uniforms, strict=True)]
            joint = longer[np.arange(cases), answer]
        elif chances.size > cases:
            sums = np.cumsum(chances.ravel())
            joint = longer.reshape(-1, members)[np.searchsorted(sums, np.sort(uniforms) * sums[-1])]
            importance = True
        else:
            joint = longer.reshape(-1, members)
    return picks, gains


def test_epig_picks_are_those_of_the_definition_for_the_targets_that_all_shards_draw(monkeypatch):
    monkeypatch.setattr(information, "TARGETS", 9)
    pool = make_pool(150, classes=3)
    expected, scores = plain_epig(pool, 12, 9)
    chosen = choose("epig", cut(pool, [2, 5]), 12)
    assert chosen.row_ids.tolist() == expected.tolist()
    assert np.allclose(chosen.scores, scores[expected], atol=2e-6)
    assert chosen.passes == 2


@pytest.mark.parametrize(("cases", "k"), [(512, 4), (64, 8), (3, 8)])
def test_batchbald_picks_are_those_of_the_plain_loop_over_all_or_drawn_answers(cases, k, monkeypatch):
    monkeypatch.setattr(information, "CASES", cases)
    monkeypatch.setattr(information, "GROUPS", 5)
    monkeypatch.setattr(information, "ROWS", 16)  # many looks
    pool = make_pool(300, classes=4)
    picks, gains = plain_batchbald(pool, k, cases)
    chosen = choose("batchbald", cut(pool, [3, 4]), k)
    assert chosen.row_ids.tolist() == picks
    assert np.allclose(chosen.scores, gains, atol=5e-6)


def test_the_first_pick_of_batchbald_is_that_of_bald_and_each_twin_of_it_tells_less_than_the_one_before():
    pool = make_pool(60, labeled=0.0, unavailable=0.0)
    first = choose("bald", [pool], 1)
    assert choose("batchbald", [pool], 1).row_ids[0] == first.row_ids[0]
    pool.committee[:] = pool.committee[int(first.row_ids[0])].clone()
    scores = choose("batchbald", [pool], 4).scores
    assert scores[0] == pytest.approx(first.scores[0], abs=1e-6)
    assert (np.diff(scores) < 0.0).all()


def test_a_group_of_cases_bounds_the_entropy_from_above():
    draw = np.random.default_rng(0)
    weights = draw.dirichlet(np.full(6, 0.2), 300).astype(np.float32)
    cases = Cases(weights, np.full(300, 1 / 300, dtype=np.float32))
    committee = torch.from_numpy(draw.dirichlet(np.full(4, 0.4), (500, 6)).astype(np.float32))
    groups = cases.groups()
    exact = expected_entropy(cases.weights, cases.chances, committee)
    bound = expected_entropy(groups.weights, groups.chances, committee)
    assert (bound + information.SLACK >= exact).all()
    assert float((bound - exact).mean()) < 0.1


def test_answers_that_cannot_be_given_are_no_case():
    cases = Cases(np.full((1, 2), 0.5, dtype=np.float32), np.ones(1, dtype=np.float32))
    longer = cases.extended(np.array([[1, 0, 0], [0.5, 0.5, 0]], dtype=np.float32), np.ones(information.CASES))
    assert longer.chances.tolist() == [0.75, 0.25]
    assert np.allclose(longer.weights, [[2 / 3, 1 / 3], [0, 1]])

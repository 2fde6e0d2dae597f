import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool

from distal.errors import TrainingError
from distal.query import View, search
from distal.query.search import AUDIT, DUPLICATE, FEW, shares
from distal.streams import row_uniforms, stream


def squared_distances(pool: View) -> np.ndarray:
    x = pool.embeddings.double().numpy()
    return ((x[:, None] - x[None]) ** 2).sum(-1)


def plain_shares(counts, supply, picks):
    """Give pick after pick to the class of largest 1 / ((n + 1) (given + 1)), the last being all that have no label."""
    total = [n + r for n, r in zip(counts, supply, strict=True)]
    even = sum(total) / len(total)
    sought = [n > 0 and (t < even or n < FEW) for n, t in zip(counts, total, strict=True)]
    missing = [n == 0 and t < even for n, t in zip(counts, total, strict=True)]
    if not any(sought):
        sought = [n > 0 for n in counts]
    weights = [1 / (n + 1) if s else 0.0 for n, s in zip(counts, sought, strict=True)]
    weights.append(float(sum(missing)))
    given = [0] * len(weights)
    for _ in range(picks):
        values = [w / (g + 1) for w, g in zip(weights, given, strict=True)]
        given[values.index(max(values))] += 1
    return given


def plain_search(pool: View, k: int) -> tuple[list[int], list[float]]:
    """Search a pool of at most SAMPLE rows with labels, one pick after another, in float64."""
    between = squared_distances(pool)
    used = np.flatnonzero(pool.available | pool.labeled)
    scale = between[np.ix_(used, used)].sum() / max(len(used) * (len(used) - 1), 1)
    free = pool.available.copy()
    probs = np.minimum(np.floor(pool.probs.double().numpy() * 2.0**23), 2.0**23 - 1) / 2.0**23  # below 1, as a key is
    asked = list(np.flatnonzero(pool.labeled))
    k = min(k, int(free.sum()))
    audits = int(k / AUDIT + stream(pool.seed, "query", "search", "audits", pool.round).random())
    given = plain_shares(list(pool.class_counts), list(pool.probs.double().numpy()[free].sum(0)), k - audits)
    picks: list[int] = []
    scores: list[float] = []

    def take(worth, score):
        pick = int(np.where(free, worth, -1.0).argmax())
        free[pick] = False
        asked.append(pick)
        picks.append(pick)
        scores.append(score(pick))

    for c in np.argsort(pool.class_counts, kind="stable"):
        wanted = given[c]
        while wanted:  # a shortlist, and a new one where near-duplicates are all that is left of it
            near = between[:, asked].min(1) <= DUPLICATE * scale
            key = np.where(free, probs[:, c] + ~near, -1.0)
            order = [i for i in np.lexsort((pool.row_ids, -key)) if free[i]]
            listed, beyond = order[: max(64, wanted)], order[max(64, wanted) :]
            values = {i: np.log(probs[i, c] + 2.0**-23) - np.log1p(2.0**-23 - probs[i, c]) for i in sorted(listed)}
            while wanted and values:
                top = max(values, key=lambda i: (not near[i], values[i], -i))
                if near[top] and beyond and key[beyond[0]] >= 1.0:
                    break
                take(np.arange(len(free)) == top, lambda i, c=c: probs[i, c])
                del values[top]
                near |= between[top] <= DUPLICATE * scale
                for i in values:
                    values[i] -= max(1.0 - between[top, i] / scale, 0.0) ** 2
                wanted -= 1
    for _ in range(given[-1]):
        far = between[:, asked].min(1)
        take(far, lambda i, far=far: 1.0 + np.sqrt(far[i]))
    left = int(free.sum())
    for _ in range(audits):
        take(1.0 / row_uniforms(pool.row_ids, pool.seed, "query", "search", "audit", pool.round),
             lambda i: -audits / left)  # fmt: skip
    return picks, scores


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(12, 150),
    k=st.integers(1, 160),
    seed=st.integers(0, 10_000),
    classes=st.integers(2, 6),
    whole=st.integers(0, 4),
    ends=st.lists(st.integers(0, 10), max_size=8),
)
@example(n=131, k=81, seed=1605, classes=2, whole=3, ends=[])  # a near-duplicate of probability 1
def test_picks_and_scores_are_those_of_the_plain_loop_whatever_the_cut(n, k, seed, classes, whole, ends):
    pool = make_pool(n, seed, classes=classes, features=2, labeled=0.2, whole=whole)
    if not pool.labeled.any():
        return
    chosen = choose("search", cut(pool, ends), k)
    picks, scores = plain_search(pool, k)
    assert chosen.row_ids.tolist() == picks
    assert np.allclose(chosen.scores, scores, rtol=1e-5, atol=1e-6)


def test_without_labels_each_crowd_is_asked_once_and_then_what_is_far_from_all():
    pool = make_pool(400, features=3, labeled=0.0, unavailable=0.0)
    places = 10.0 * torch.tensor([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    crowd = torch.arange(400) % 4
    pool.embeddings[:] = places[crowd] + 0.5 * pool.embeddings
    pool.embeddings[123] = 30.0  # far from every crowd
    chosen = choose("search", cut(pool, [5, 9]), 9)
    explored = chosen.row_ids[chosen.scores > 1.0]
    assert set(crowd[explored[:4]].tolist()) == {0, 1, 2, 3}
    assert explored[4] == 123
    between = np.sqrt(squared_distances(pool))
    np.fill_diagonal(between, np.inf)
    crowding = np.sort(between, 1)[:, :8].mean(1)
    assert (crowding[explored[:4]] < np.median(crowding)).all()


def test_near_duplicates_of_what_was_asked_or_picked_come_last():
    pool = make_pool(300, labeled=0.05, unavailable=0.0)
    rare = int(pool.class_counts.argmin())
    asked = int(np.flatnonzero(pool.labeled)[0])
    twins = np.flatnonzero(pool.available)[:40]
    pool.embeddings[twins[:20]] = pool.embeddings[asked].clone()
    pool.embeddings[twins[20:]] = pool.embeddings[twins[20]].clone()
    pool.probs[:, rare] *= 0.1
    pool.probs[twins] = torch.eye(4)[rare]
    chosen = choose("search", cut(pool, [3]), 30)
    sought = chosen.row_ids[(chosen.scores >= 0.0)]
    assert set(sought) & set(twins) == {twins[20]}
    assert len(set(choose("search", [pool], 299).row_ids) & set(twins)) == 40


def test_an_audit_is_equally_likely_for_every_row_left_and_its_score_says_how_likely():
    n, k, rounds = 60, 20, 400
    pool = make_pool(n, labeled=0.1, unavailable=0.0)
    asked, weight = np.zeros(n), 0.0
    for round in range(rounds):
        view = View(pool.row_ids, pool.available, pool.labels, 16, 0, round, pool.tensors, pool.class_counts)
        chosen = choose("search", [view], k)
        audits = chosen.row_ids[chosen.scores < 0]
        sought = chosen.row_ids[chosen.scores >= 0]
        asked[audits] += 1
        assert np.allclose(chosen.scores[chosen.scores < 0], -len(audits) / (pool.available.sum() - len(sought)))
        weight += (1 / -chosen.scores[chosen.scores < 0]).sum() / rounds
    assert asked.sum() == pytest.approx(rounds * k / AUDIT, rel=0.1)
    never = np.isin(np.arange(n), sought) | ~pool.available  # the same rows are sought in every round
    assert not asked[never].any()
    assert asked[~never].min() > 0.3 * asked[~never].mean()
    assert weight == pytest.approx((~never).sum(), rel=0.1)  # Horvitz-Thompson: the rows they stand for


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any),
    picks=st.integers(0, 60),
    seed=st.integers(0, 1000),
)
def test_shares_are_those_of_the_plain_loop(counts, picks, seed):
    supply = np.random.default_rng(seed).random(len(counts)) * 100
    given = shares(np.asarray(counts), supply, picks)
    assert given.tolist() == plain_shares(counts, list(supply), picks)
    assert given.sum() == picks


def test_a_common_class_is_not_sought_and_the_class_with_fewest_images_gets_most():
    given = shares(np.array([40, 3, 7]), np.array([900.0, 20.0, 20.0]), 12)
    assert given.tolist() == [0, 8, 4, 0]


def test_classes_without_a_label_are_looked_for_far_from_what_was_asked():
    given = shares(np.array([40, 3, 0]), np.array([900.0, 20.0, 0.0]), 10)
    assert given.tolist() == [0, 2, 0, 8]


def test_only_so_many_classes_are_sought_in_one_batch(monkeypatch):
    monkeypatch.setattr(search, "CLASSES", 2)
    assert shares(np.array([5, 1, 9, 2]), np.full(4, 3.0), 6).nonzero()[0].tolist() == [1, 3]


def test_features_without_variance_still_give_the_most_likely():
    pool = make_pool(100, labeled=0.1, unavailable=0.0)
    pool.embeddings[:] = 1.0
    rare = int(pool.class_counts.argmin())
    chosen = choose("search", cut(pool, [2]), 8)
    assert chosen.row_ids[0] == int(np.where(pool.available, pool.probs[:, rare].numpy(), -1.0).argmax())


@pytest.mark.parametrize("tensor", ["probs", "embeddings"])
def test_outputs_that_are_no_numbers_are_refused_and_the_row_is_named(tensor):
    pool = make_pool(100, labeled=0.1, unavailable=0.0)
    row = int(np.flatnonzero(pool.available)[50])
    pool.tensors[tensor][row, 0] = torch.nan
    with pytest.raises(TrainingError, match=f"row {row} is nan"):
        choose("search", cut(pool, [2]), 3)

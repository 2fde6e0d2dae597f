import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distal.query import recall
from distal.query.recall import BINS, MIDDLES, Asked, RecallEstimate, count_odds, enough_found, estimate_recall


def asked_rows(seed: int, m: int = 60, rounds: int = 5) -> Asked:
    draw = np.random.default_rng(seed)
    probs = draw.beta(0.5, 1.0, m)
    audit = draw.random(m) < 0.2
    when = np.sort(draw.integers(0, rounds, m))
    return Asked(when, probs, draw.random(m) < probs, np.where(audit, -0.02, probs))


def plain_quantiles(found: int, asked: Asked, left: np.ndarray) -> tuple[int, int]:
    """Sum over the grid and over counts one after another, as the head of recall.py says it."""
    grid: list[tuple[float, float]] = []
    rows = int(left.sum())
    for a in recall.SHIFTS:
        for b in recall.SLOPES:
            for i in range(recall.UNSEEN):
                e = 0.1 * (max(found, 1) / 0.1) ** (i / (recall.UNSEEN - 1)) / rows

                def pi(odds, a=a, b=b, e=e):
                    return 1.0 - (1.0 - 1.0 / (1.0 + math.exp(-a - b * odds))) * (1.0 - e)

                log = -(a**2) / 8.0 - (b - 1.0) ** 2 / 0.32
                for p, hit, round in zip(asked.probs, asked.hits, asked.rounds, strict=True):
                    odds = MIDDLES[min(max(int((math.log(p / (1 - p)) + 16.0) * 2.0), 0), BINS - 1)]
                    weight = 0.5 ** ((asked.rounds.max() - round) / recall.HALF)
                    log += weight * math.log(pi(odds) if hit else 1.0 - pi(odds))
                grid.append((log, sum(n * pi(odds) for n, odds in zip(left, MIDDLES, strict=True) if n)))
    top = max(log for log, _ in grid)
    total = sum(math.exp(log - top) for log, _ in grid)
    reached, quantiles = 0.0, []
    for count in range(rows + 1):
        reached += sum(
            math.exp(log - top - mean + count * math.log(mean) - math.lgamma(count + 1)) for log, mean in grid
        )
        while len(quantiles) < 2 and reached / total >= (0.5, 0.95)[len(quantiles)]:
            quantiles.append(count)
    return found + quantiles[0], found + quantiles[1]


@pytest.mark.parametrize("seed", range(3))
def test_estimate_and_upper_end_are_those_of_a_plain_sum_over_grid_and_counts(seed, monkeypatch):
    monkeypatch.setattr(recall, "SHIFTS", np.linspace(-2.0, 1.0, 4))
    monkeypatch.setattr(recall, "SLOPES", np.array([0.6, 1.0, 1.4]))
    monkeypatch.setattr(recall, "UNSEEN", 3)
    asked = asked_rows(seed)
    left = count_odds(np.random.default_rng(seed).beta(0.3, 3.0, (200, 1)))[0]
    found = int(asked.hits.sum())
    made = estimate_recall(found, asked, left)
    total, high = plain_quantiles(found, asked, left)
    assert made.high == high
    assert made.total == max(total, made.low)


def test_the_lower_end_is_the_least_total_that_the_audits_do_not_contradict():
    n, left = 1000, count_odds(np.full((900, 1), 0.01))[0]
    hits = np.zeros(50, dtype=np.bool_)
    hits[:10] = True
    asked = Asked(np.zeros(50, dtype=np.int64), np.full(50, 0.01), hits, np.full(50, -50 / n))
    low = estimate_recall(10, asked, left).low

    def surprise(total):  # of 10 hits or more, the audits' images being Poisson with mean 50 total / n
        mean = 50 * total / n
        return 1.0 - sum(math.exp(-mean) * mean**x / math.factorial(x) for x in range(10))

    assert surprise(low) >= 0.05 > surprise(low - 1)


def test_what_was_found_before_an_audit_is_no_part_of_what_it_could_find():
    rounds, hits = np.array([0, 0, 1, 1]), np.array([True, False, False, True])
    asked = Asked(rounds, np.full(4, 0.5), hits, np.array([0.5, -0.1, 0.5, -0.1]))
    left = count_odds(np.full((900, 1), 0.001))[0]
    # One hit: at least 0.0513 events; round 0 had found 4 of the 5 before, round 1 had found 4.
    assert estimate_recall(5, asked, left).low == max(5, math.ceil((0.0513 + 0.1 * 4 + 0.1 * 4) / 0.2))


def simulate(seed: int, hidden: float) -> tuple[RecallEstimate, int]:
    """Search a pool of 2,000 rows for ten rounds by odds that are off, and blind for a share of the images."""
    draw = np.random.default_rng(seed)
    odds = draw.normal(-5.0, 1.5, 2000)
    of = draw.random(2000) < 0.02
    odds[of & (draw.random(2000) >= hidden)] += 5.0
    probs = 1.0 / (1.0 + np.exp(-odds - 1.0))
    free, parts = np.ones(2000, dtype=np.bool_), []
    for round in range(10):
        sought = np.flatnonzero(free)[np.argsort(-probs[free])[:11]]
        free[sought] = False
        audit = draw.choice(np.flatnonzero(free), 1)
        score = np.r_[probs[sought], -1.0 / free.sum()]
        free[audit] = False
        rows = np.r_[sought, audit]
        parts.append((np.full(12, round), probs[rows], of[rows], score))
    asked = Asked(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    return estimate_recall(int(asked.hits.sum()), asked, count_odds(probs[free, None])[0]), int(of.sum())


@pytest.mark.parametrize("hidden", [0.0, 0.2])
def test_the_interval_covers_the_truth_ninety_times_in_a_hundred(hidden):
    made = [simulate(seed, hidden) for seed in range(50)]
    covered = [estimate.low <= truth <= estimate.high for estimate, truth in made]
    assert np.mean(covered) >= 0.9
    assert np.median([(estimate.high - estimate.low) / truth for estimate, truth in made]) < 2.0


def test_a_pool_that_was_asked_to_the_end_leaves_nothing_to_guess():
    asked = asked_rows(1)
    found = int(asked.hits.sum())
    assert estimate_recall(found, asked, np.zeros(BINS, dtype=np.int64)) == RecallEstimate(found, found, found, found)


def test_nothing_asked_yet_leaves_everything_possible():
    none = np.empty(0)
    asked = Asked(none.astype(np.int64), none, none.astype(np.bool_), none)
    made = estimate_recall(0, asked, count_odds(np.full((100, 1), 0.5))[0])
    assert made.low == 0
    assert made.high > 80
    assert made.at_least == 0.0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), found=st.integers(0, 90), rows=st.integers(0, 300))
def test_ends_are_in_order_and_within_the_pool(seed, found, rows):
    left = count_odds(np.random.default_rng(seed).random((rows, 1)) ** 3)[0]
    made = estimate_recall(found, asked_rows(seed), left)
    assert found <= made.low <= made.total <= made.high <= found + rows


def test_odds_are_counted_alike_however_the_rows_are_cut():
    probs = np.random.default_rng(0).dirichlet([0.1, 0.1, 2.0], 500)
    probs[0] = [0.0, 0.0, 1.0]
    whole = count_odds(probs)
    assert np.array_equal(whole, count_odds(probs[:123]) + count_odds(probs[123:]))
    assert (whole.sum(1) == 500).all()


def test_it_is_enough_when_the_upper_end_of_every_class_leaves_no_more_than_the_rest():
    full, half = RecallEstimate(9, 9, 9, 10), RecallEstimate(5, 7, 5, 10)
    assert enough_found([full], 0.9)
    assert not enough_found([full], 0.91)
    assert not enough_found([full, half], 0.6)
    assert RecallEstimate(0, 0, 0, 0).at_least == 1.0

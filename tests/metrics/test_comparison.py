"""Whether A is better than B: intervals cover what they should, in pairs, and a learning curve is read on."""

import numpy as np
import pytest

from distal.metrics.comparison import Resamples, gain, gain_of_more, interval, over_seeds


def test_draws_keep_the_number_of_images_of_each_class_and_begin_with_the_sample() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    drawn = Resamples.draw(labels, 4, seed=0, draws=50)
    assert (drawn.images[0] == 1).all()
    assert drawn.seeds[0].tolist() == [0, 1, 2, 3]
    assert (drawn.images @ np.eye(3)[labels] == [3, 2, 1]).all()
    assert len(np.unique(drawn.images, axis=0)) > 10


def test_the_interval_of_a_mean_covers_the_truth_about_95_times_of_100() -> None:
    rng, hits = np.random.default_rng(1), 0
    for trial in range(200):
        right = rng.random(100) < 0.7
        drawn = Resamples.draw(np.zeros(100, np.int64), 2, seed=trial, draws=200)
        found = interval(drawn.images @ right / 100)
        hits += found.low <= 0.7 <= found.high
    assert 180 <= hits <= 199


def test_a_pair_that_differs_in_few_images_is_told_apart_where_each_alone_would_not_be() -> None:
    rng = np.random.default_rng(2)
    worse = (rng.random(200) < 0.5).astype(float)
    better = worse.copy()
    better[np.flatnonzero(worse == 0)[:12]] = 1
    drawn = Resamples.draw(np.zeros(200, np.int64), 2, seed=0)
    a, b = drawn.images @ better / 200, drawn.images @ worse / 200
    assert interval(gain(a, b)).low > 0
    assert interval(a).low < interval(b).high


def test_a_gain_is_over_the_best_of_the_rivals() -> None:
    assert gain(np.array([0.9, 0.5]), np.array([0.8, 0.6]), np.array([0.2, 0.7])) == pytest.approx([0.1, -0.2])


def test_a_power_law_is_read_on_exactly_and_a_rising_error_promises_nothing() -> None:
    labels = np.array([20, 40, 80])
    falling, rising = 2.0 * labels**-0.5, 0.1 * labels**0.2
    found = gain_of_more(np.stack([falling, rising], 1)[:, None], labels, 40)
    assert found[0, 0] == pytest.approx(2.0 * (80**-0.5 - 120**-0.5))
    assert found[0, 1] == 0


def test_labels_that_cannot_be_halved_promise_nothing() -> None:
    assert gain_of_more(np.full((3, 1, 1), 0.4), np.array([6, 6, 6]), 10) == pytest.approx(0.0)


def test_seeds_are_compared_in_pairs_as_scipys_paired_t_test_does() -> None:
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(3)
    seed_effect = rng.normal(0, 5, 6)
    a, b = seed_effect + rng.normal(1, 0.3, 6), seed_effect + rng.normal(0, 0.3, 6)
    found = over_seeds(a.tolist(), b.tolist())
    theirs = ttest_rel(a, b).confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((theirs.low, theirs.high))
    assert found.apart
    assert over_seeds(b.tolist(), a.tolist()).difference.high < 0


def test_as_many_seeds_as_are_said_to_be_needed_tell_apart_about_eight_times_of_ten() -> None:
    rng = np.random.default_rng(4)
    gaps = np.array([1.0, -1.0] * 10) * 0.974 + 0.5  # mean 0.5, deviation 1
    needed = over_seeds(gaps.tolist(), [0.0] * 20).needed
    assert needed is not None
    told = [over_seeds(rng.normal(0.5, 1, needed).tolist(), [0.0] * needed).apart for _ in range(200)]
    assert 0.7 < np.mean(told) < 0.9


def test_equal_values_need_no_number_of_seeds_and_a_difference_without_noise_few() -> None:
    assert over_seeds([1.0, 2.0], [1.0, 2.0]).needed is None
    assert over_seeds([1.0, 2.0], [2.0, 3.0]).needed == 2

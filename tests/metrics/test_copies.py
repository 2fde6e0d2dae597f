"""Copies of training images are found, and held-out images are not called copies."""

import numpy as np
import torch
from metric_fakes import digits

from distal.metrics.copies import CHANCE, Seen, closeness, find_copies

PIXELS = torch.from_numpy(digits()[0])


def seen(pixels: torch.Tensor) -> Seen:
    """See images by a frozen random network."""
    mix = torch.from_numpy(np.random.default_rng(0).normal(size=(64, 32))).float()
    return Seen(torch.tanh(pixels.flatten(1).float() / 255 @ mix), pixels)


TRAINING, HELD_OUT, FRESH = (seen(PIXELS[a:b]) for a, b in ((0, 600), (600, 1000), (1000, 1700)))


def test_exact_and_noisy_copies_are_found_with_what_they_copy() -> None:
    noise = torch.from_numpy(np.random.default_rng(1).integers(-4, 5, (50, 1, 8, 8)))
    noisy = (PIXELS[100:150].int() + noise).clamp(0, 255).byte()
    found = find_copies(seen(torch.cat([PIXELS[:50], noisy])), HELD_OUT, TRAINING)
    assert found.count >= 98
    assert found.more_than_chance
    assert (found.nearest[:50] == np.arange(50)).all()
    assert (found.nearest[50:] == np.arange(100, 150)).all()


def test_images_like_the_held_out_ones_are_copies_about_as_often_as_by_chance() -> None:
    found = find_copies(FRESH, HELD_OUT, TRAINING)
    assert found.count / 700 < 3 * CHANCE
    assert not found.more_than_chance


def test_closeness_is_the_ratio_written_out() -> None:
    x, training = FRESH.features[:3].double(), TRAINING.features.double()
    for row, ratio, nearest in zip(x, *closeness(x, training), strict=True):
        ways = (training - row).square().sum(1).sqrt().sort()
        assert abs(ratio - float(ways.values[0] / ways.values[:50].mean())) < 1e-9
        assert nearest == int(ways.indices[0])

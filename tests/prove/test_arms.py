"""What is added to labels counts beside them, however much of it there is, for no more than they do."""

import numpy as np
import pytest
import torch

from distal import streams
from distal.prove.arms import Examples
from distal.prove.classifier import Classifier
from distal.prove.network import BATCH, _balanced


def examples(*labels: int) -> Examples:
    """Return rows of two features, the row's number and one."""
    features = torch.stack([torch.arange(len(labels)), torch.ones(len(labels))], 1).float()
    return Examples(features, np.array(labels, np.int64))


def test_added_rows_are_half_of_a_class_at_most_and_all_of_one_without_labels() -> None:
    both = examples(0, 0, 1) + examples(0, 1, 1, 1, 2)
    third, sixth = 1 / 3, 1 / 6
    assert both.shares() == pytest.approx([third, third, 0.5, third, sixth, sixth, sixth, 1.0])
    assert examples(0, 0, 1).shares() == pytest.approx([0.5, 0.5, 1.0])


def test_a_network_draws_half_of_a_class_from_its_few_labels() -> None:
    both = examples(0, 0, 1) + examples(*[0] * 98)
    members, shares = [np.flatnonzero(both.labels == c) for c in (0, 1)], both.shares()
    draws = [_balanced(members, [shares[rows].cumsum() for rows in members], streams.stream(0, i)) for i in range(300)]
    counts = np.bincount(np.concatenate(draws), minlength=len(both.labels))
    assert counts.sum() == 300 * BATCH
    assert counts[[0, 1]] / counts.sum() == pytest.approx(0.125, abs=0.015)
    assert counts[2] / counts.sum() == pytest.approx(0.5, abs=0.02)


def test_a_flood_of_wrong_rows_does_not_turn_a_classifier_round() -> None:
    source = np.random.default_rng(0)
    y = np.repeat([0, 1], 8).astype(np.int64)
    x = torch.from_numpy(source.normal(size=(16, 2)) + 4 * np.eye(2)[y]).float()
    flood = torch.from_numpy(source.normal(size=(800, 2))).float()
    few, many = Examples(x, y), Examples(flood, np.ones(800, np.int64))
    said = Classifier(few + many, 2).probs(x)[-1].argmax(1).numpy()
    assert (said[y == 1] == 1).mean() >= 0.75
    assert (said[y == 0] == 0).mean() >= 0.75

"""The gate's second classifier: it learns from pixels, the same from the same seed, and goes through the gate."""

import numpy as np
import pytest
import torch
from metric_fakes import digits

from distal.prove import Evidence, Examples, network, prove
from distal.prove.look import CLASSICAL
from distal.prove.network import OnPixels, SmallNetwork
from distal.prove.trainings import ARMS

PIXELS, LABELS = digits()


def examples(first: int, last: int) -> Examples:
    return Examples(torch.from_numpy(PIXELS[first:last]), LABELS[first:last])


def test_it_learns_digits_from_two_hundred() -> None:
    unseen = examples(1000, 1400)
    said, _ = SmallNetwork(examples(0, 200), 10, CLASSICAL, (0, 0)).held_out_probs(unseen, np.ones(400, np.bool_))
    assert (said.argmax(1) == unseen.labels).mean() > 0.8
    assert said.sum(1) == pytest.approx(np.ones(400), abs=1e-5)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEPS", 5)
    train, images = examples(0, 100), torch.from_numpy(PIXELS[500:520])
    first, again, other = (SmallNetwork(train, 10, CLASSICAL, (0, seed)).probs(images) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_pixels_go_through_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "STEPS", 5)
    labeled, none = examples(0, 60), examples(0, 0)
    wanted = np.full(10, 5)
    pool = torch.from_numpy(PIXELS[700:720])
    evidence = Evidence(
        tuple("0123456789"), labeled, examples(1000, 1100), none, examples(100, 150), pool, wanted, 10, 0
    )
    proof = prove(evidence, 2, OnPixels(CLASSICAL, 0, "cpu"))
    assert set(proof.scores) == set(ARMS)
    assert all(0 <= proof.scores[arm]["recall"][0, 0] <= 1 for arm in ARMS)

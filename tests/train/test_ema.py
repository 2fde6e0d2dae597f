import pytest
import torch
from torch import nn

from distal.train.ema import average_, decay


def test_half_is_forgotten_in_a_half_life() -> None:
    assert decay(10_000, half_life=50.0) ** 50 == pytest.approx(0.5)


def test_early_averages_forget_within_a_tenth_of_the_steps_done() -> None:
    assert decay(100, half_life=50.0) ** 10 == pytest.approx(0.5)


def test_averaging_moves_each_parameter_by_one_minus_beta() -> None:
    mean, module = nn.Linear(2, 1), nn.Linear(2, 1)
    nn.init.constant_(mean.weight, 1.0)
    nn.init.constant_(module.weight, 3.0)
    average_(mean, module, beta=0.75)
    assert torch.equal(mean.weight, torch.full((1, 2), 1.5))

import numpy as np
import pytest
import torch
from scipy.stats import wasserstein_distance

from distal.communicator import Alone
from distal.metrics.mind import sliced_wasserstein, squared_transport


def cloud(n: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 6)))


def test_unequal_numbers_are_transported_as_when_each_is_repeated_to_a_common_number() -> None:
    x, y = cloud(6, 1), cloud(4, 2)
    expected = (x.sort(0).values.repeat_interleave(2, 0) - y.sort(0).values.repeat_interleave(3, 0)).square().mean(0)
    assert squared_transport(x, y).numpy() == pytest.approx(expected.numpy(), rel=1e-12)


def test_one_dimension_of_a_shift_agrees_with_scipy() -> None:
    x = cloud(50, 3)[:, :1]
    y = x + 0.7  # a shift costs |shift| and its square, whatever the exponent
    assert squared_transport(x, y).item() == pytest.approx(wasserstein_distance(x[:, 0], y[:, 0]) ** 2, rel=1e-9)


def test_a_shift_is_its_squared_length_apart_within_the_error_of_the_directions() -> None:
    x, shift = cloud(80, 4), torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0, 0.0], dtype=torch.float64)
    found = sliced_wasserstein(x.float(), (x + shift).float(), Alone())
    assert found.error is not None
    assert abs(found.value - float(shift.square().sum())) < 4 * found.error
    assert found.error < 0.05 * found.value

import numpy as np
import pytest
import torch

from distal.errors import ConfigError
from distal.losses.adversarial import ADVERSARIAL

REAL = torch.tensor([1.5, -0.25, 3.0, 0.0], dtype=torch.float64)
FAKE = torch.tensor([-0.5, 0.75, 2.0, -4.0], dtype=torch.float64)


def test_rpgan_is_minus_log_sigmoid_of_paired_differences() -> None:
    loss = ADVERSARIAL.find("rpgan")
    difference = (REAL - FAKE).numpy()
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(np.mean(np.log1p(np.exp(-difference))))
    assert loss.generator(REAL, FAKE).item() == pytest.approx(np.mean(np.log1p(np.exp(difference))))


def test_rpgan_does_not_see_a_constant_added_to_all_logits() -> None:
    loss = ADVERSARIAL.find("rpgan")
    assert loss.discriminator(REAL + 7, FAKE + 7).item() == pytest.approx(loss.discriminator(REAL, FAKE).item())


def test_hinge_is_its_formula() -> None:
    loss = ADVERSARIAL.find("hinge")
    expected = np.maximum(0, 1 - REAL.numpy()).mean() + np.maximum(0, 1 + FAKE.numpy()).mean()
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(expected)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(-FAKE.mean().item())


def test_non_saturating_is_its_formula() -> None:
    loss = ADVERSARIAL.find("non_saturating")
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    expected = -np.log(sigmoid(REAL.numpy())).mean() - np.log(1 - sigmoid(FAKE.numpy())).mean()
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(expected)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(-np.log(sigmoid(FAKE.numpy())).mean())


@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_losses_stay_finite_at_extreme_logits(name: str) -> None:
    extreme = torch.tensor([1e4, -1e4])
    assert torch.isfinite(ADVERSARIAL.entries[name].discriminator(extreme, -extreme))
    assert torch.isfinite(ADVERSARIAL.entries[name].generator(extreme, -extreme))


@pytest.mark.parametrize("name", sorted(ADVERSARIAL))
def test_only_a_relative_generator_loss_depends_on_the_real_logits(name: str) -> None:
    loss = ADVERSARIAL.entries[name]
    same = loss.generator(REAL, FAKE).item() == loss.generator(REAL + 1, FAKE).item()
    assert same != loss.relative


def test_an_unknown_loss_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'hinge'"):
        ADVERSARIAL.find("hing")

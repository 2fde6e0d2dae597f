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


def test_minimax_differs_from_non_saturating_in_what_the_generator_descends() -> None:
    loss = ADVERSARIAL.find("minimax")
    probability = 1 / (1 + np.exp(-FAKE.numpy()))
    assert loss.discriminator is ADVERSARIAL.find("non_saturating").discriminator
    assert loss.generator(REAL, FAKE).item() == pytest.approx(np.log(1 - probability).mean())


def test_least_squares_is_its_formula() -> None:
    loss = ADVERSARIAL.find("least_squares")
    expected = np.square(REAL.numpy() - 1).mean() / 2 + np.square(FAKE.numpy()).mean() / 2
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(expected)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(np.square(FAKE.numpy() - 1).mean() / 2)


def test_wasserstein_is_the_difference_of_means() -> None:
    loss = ADVERSARIAL.find("wasserstein")
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(FAKE.mean().item() - REAL.mean().item())
    assert loss.generator(REAL, FAKE).item() == pytest.approx(-FAKE.mean().item())


def test_relativistic_average_is_its_formula_of_centred_logits() -> None:
    loss = ADVERSARIAL.find("relativistic_average")
    assert loss.centred
    real, fake = REAL.numpy() - FAKE.mean().item(), FAKE.numpy() - REAL.mean().item()
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    given = (torch.from_numpy(real), torch.from_numpy(fake))
    assert loss.discriminator(*given).item() == pytest.approx(
        -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    )
    assert loss.generator(*given).item() == pytest.approx(
        -np.log(sigmoid(fake)).mean() - np.log(1 - sigmoid(real)).mean()
    )


@pytest.mark.parametrize("name", [name for name in ADVERSARIAL if ADVERSARIAL.entries[name].ratio])
def test_the_best_logit_of_a_loss_that_says_so_is_the_log_ratio_of_densities(name: str) -> None:
    # Two places, with 3 and 1 of 4 real rows and 1 and 2 of 3 generated ones, in all pairs: D is a table of two logits.
    pairs = torch.cartesian_prod(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, 1]))
    table = torch.tensor([(3 / 4) / (1 / 3), (1 / 4) / (2 / 3)], dtype=torch.float64).log().requires_grad_()
    ADVERSARIAL.find(name).discriminator(table[pairs[:, 0]], table[pairs[:, 1]]).backward()
    assert table.grad is not None
    assert table.grad.abs().max() < 1e-12, "a convex loss is least where its slope is zero"


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

"""The density of an autoencoder's latents: what few labels, many labels and no label come to."""

import pytest
import torch
from torch import Tensor

from distal.models.autoencoder.density import PRIOR, fit_density, kernels, variances
from distal.nets.codes import CodeMixture

DIMENSIONS = 3
MIX = torch.tensor([[2.0, 0.0, 0.0], [1.5, 0.5, 0.0], [0.0, 0.3, 0.1]], dtype=torch.float64)


def normal(n: int, seed: int) -> Tensor:
    """Return rows of a normal distribution whose numbers depend on one another."""
    return torch.randn(n, DIMENSIONS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) @ MIX


def drawn(codes: CodeMixture, label: int, classes: int, n: int = 40_000) -> Tensor:
    z = torch.randn(n, DIMENSIONS, generator=torch.Generator().manual_seed(9))
    return codes(z, torch.eye(classes)[label].expand(n, classes)).double()


def even(rows: int, classes: int) -> Tensor:
    """Return beliefs that know nothing."""
    return torch.full((rows, classes), 1 / classes, dtype=torch.float64)


EVERY = normal(500, 0)


def require_normal(rows: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Compare with a normal distribution: within five standard errors, and what the prior's five rows do."""
    size = float(covariance.diagonal().max())
    torch.testing.assert_close(rows.mean(0), mean, atol=5 * (size / len(rows)) ** 0.5, rtol=0)
    torch.testing.assert_close(rows.T.cov(), covariance, atol=0.05 * size, rtol=0)


def test_of_many_rows_mean_and_covariance_are_those_of_the_class() -> None:
    rows = normal(400, 1) * 0.9 + 4.0
    codes = fit_density(rows, torch.zeros(400, dtype=torch.int64), EVERY, even(500, 1))
    require_normal(drawn(codes, 0, 1), rows.mean(0), rows.T.cov())
    assert len(codes.mean) == 400, "and its shape is that of the rows"


def test_one_labeled_row_has_the_spread_that_rows_have_within_the_classes_they_are_taken_for() -> None:
    here = torch.arange(5000) % 2
    within = normal(5000, 2) * 0.5
    every = within + 3.0 * here[:, None]
    alone = torch.full((1, DIMENSIONS), 7.0, dtype=torch.float64)
    codes = fit_density(alone, torch.tensor([0]), every, torch.eye(2, dtype=torch.float64)[here])
    require_normal(drawn(codes, 0, 2), alone[0], 2 * within.T.cov())  # twice, for its class's mean is known no better


def test_a_class_without_a_label_is_drawn_as_all_rows_are() -> None:
    rows = normal(20, 3) * 0.1
    codes = fit_density(rows, torch.full((20,), 1), EVERY, even(500, 3))
    for label in (0, 2):
        require_normal(drawn(codes, label, 3), EVERY.mean(0), EVERY.T.cov())


def test_the_variance_of_few_rows_is_pulled_to_that_within_all_classes() -> None:
    # Along one axis alone, so that it can be worked out by hand: classes of 2 and 4 rows.
    rows = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [-3.0, 0.0], [3.0, 0.0], [-3.0, 0.0], [3.0, 0.0]])
    labels, every = torch.tensor([0, 0, 1, 1, 1, 1]), torch.tensor([[5.0, 0.0], [-5.0, 0.0]])
    codes = fit_density(rows, labels, every, even(2, 2))
    own = [(PRIOR * 50.0 + 2.0) / (PRIOR + 1), (PRIOR * 50.0 + 36.0) / (PRIOR + 3)]
    _, width = kernels(torch.tensor([2, 4]), 2)
    along = codes.deviation.double().square().amax(1)[[0, 2]]
    torch.testing.assert_close(along, torch.tensor(own, dtype=torch.float64) * width.square(), rtol=1e-5, atol=0)


def test_of_as_many_classes_as_rows_the_variance_within_is_that_of_all_rows() -> None:
    _, within, total = variances(EVERY[:6], torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(within, total)


@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_kernels_have_scotts_width_and_the_variance_that_a_normal_distribution_foretells(n: int) -> None:
    together, width = kernels(torch.tensor([n]), 64)
    assert float(width / together) == pytest.approx(n ** (-1 / 68))
    assert float(together**2 * (n - 1) / n + width**2) == pytest.approx(1 + 1 / n)

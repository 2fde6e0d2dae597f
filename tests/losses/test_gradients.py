import pytest
import torch
from step_case import step_of
from torch import Tensor

from distal.losses.regularizers.gradients import NEARBY, dragan, r1, r2, wgan_gp


def quadratic(x: Tensor) -> Tensor:
    """D(x) = sum x^2 / 2 by row, so grad D = x and |grad D|^2 = |x|^2."""
    return 0.5 * x.square().flatten(1).sum(1)


def test_r1_and_r2_are_half_the_mean_squared_gradient_over_real_and_generated_images() -> None:
    x = torch.randn(8, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    squares = x.detach().square().flatten(1).sum(1)
    # The penalty is taken in float32: relative tolerance 1e-6 is eight times its rounding unit.
    assert r1(step_of(quadratic, x)).item() == pytest.approx(0.5 * squares[:4].mean().item(), rel=1e-6)
    assert r2(step_of(quadratic, x)).item() == pytest.approx(0.5 * squares[4:].mean().item(), rel=1e-6)


def test_the_gradient_of_a_penalty_agrees_with_float64_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(5, 4, dtype=torch.float64, generator=generator)
    out = torch.randn(5, dtype=torch.float64, generator=generator)
    x0 = torch.randn(6, 1, 2, 2, dtype=torch.float64, generator=generator)

    def penalty(w: Tensor) -> Tensor:
        x = x0.clone().requires_grad_()
        logits = torch.tanh(x.flatten(1) @ w.T) @ out
        (g,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return 0.5 * g[:3].square().flatten(1).sum(1).mean()

    w = weight.clone().requires_grad_()
    x = x0.clone().requires_grad_()
    value = r1(step_of(lambda x: torch.tanh(x.flatten(1) @ w.T) @ out, x))
    value.backward()
    h = 1e-6  # central differences: error h^2 + rounding 1e-16 / h, both far below 1e-5
    numeric = torch.zeros_like(weight)
    for i in range(5):
        for j in range(4):
            e = torch.zeros_like(weight)
            e[i, j] = h
            numeric[i, j] = (penalty(weight + e) - penalty(weight - e)) / (2 * h)
    assert w.grad is not None
    torch.testing.assert_close(w.grad, numeric, rtol=1e-5, atol=1e-5)


def test_one_backward_pass_serves_both_penalties() -> None:
    x = torch.ones(4, 1, 2, 2, requires_grad=True)
    step = step_of(quadratic, x)
    r1(step)
    assert step.squared_gradients is step.squared_gradients


def test_wgan_gp_is_the_squared_distance_of_gradient_norms_from_one_between_real_and_generated_images() -> None:
    generator = torch.Generator().manual_seed(2)
    x, weight = (torch.randn(n, 1, 3, 3, dtype=torch.float64, generator=generator) for n in (8, 1))
    u = torch.rand(4, 1, generator=generator)

    def cubic(x: Tensor) -> Tensor:
        return (weight * x.pow(3)).flatten(1).sum(1) / 3

    between = u.double()[:, :, None, None] * x[:4] + (1 - u.double()[:, :, None, None]) * x[4:]
    norms = (weight * between.square()).flatten(1).norm(dim=1)
    expected = (norms - 1).square().mean()
    # D's logit and its squared gradient are taken in float32.
    assert wgan_gp(step_of(cubic, x, u)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_wgan_gp_has_a_finite_gradient_where_d_is_flat() -> None:
    slope = torch.zeros(1, requires_grad=True)
    x = torch.ones(4, 1, 2, 2)
    wgan_gp(step_of(lambda x: slope * x.flatten(1).sum(1), x)).backward()
    assert slope.grad is not None
    assert torch.isfinite(slope.grad).all()


def test_dragan_is_the_squared_distance_of_gradient_norms_from_one_around_real_images() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(8, 1, 3, 3, dtype=torch.float64, generator=generator)
    u = torch.rand(4, 9, generator=generator)
    deviation = (x[:4] - x[:4].mean()).square().mean().sqrt()
    noise = torch.distributions.Normal(0.0, 1.0).icdf(u.double()).view(4, 1, 3, 3)
    norms = (x[:4] + NEARBY * deviation * noise).flatten(1).norm(dim=1)  # D = |x|^2 / 2
    expected = (norms - 1).square().mean()
    # Images, normal numbers and the squared gradient are taken in float32.
    assert dragan(step_of(quadratic, x, u)).item() == pytest.approx(expected.item(), rel=1e-4)

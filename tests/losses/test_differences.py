import pytest
import torch
from step_case import step_of
from torch import Tensor

from distal.losses.regularizers.differences import r1_fd, r2_fd
from distal.losses.regularizers.step import REACH


def smooth(x: Tensor) -> Tensor:
    return 10 * torch.sin(0.1 * x.double()).flatten(1).sum(1)


def test_the_mean_of_the_finite_differences_is_the_penalty_by_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    pair = torch.randn(2, 1, 2, 2, dtype=torch.float64, generator=generator)
    real, fake = 0.5 * torch.cos(0.1 * pair).square().flatten(1).sum(1)
    # All 16 patterns of four signs: their mean has no error of chance, only the curvature's: 0.1 REACH in the slope.
    signs = torch.cartesian_prod(*[torch.tensor([0.2, 0.8])] * 4).repeat(1, 2)
    x = torch.cat([pair[:1].expand(16, -1, -1, -1), pair[1:].expand(16, -1, -1, -1)])
    assert r1_fd(step_of(smooth, x, signs)).item() == pytest.approx(real.item(), rel=(0.1 * REACH) ** 2 * 10)
    assert r2_fd(step_of(smooth, x, signs)).item() == pytest.approx(fake.item(), rel=(0.1 * REACH) ** 2 * 10)


def test_nothing_is_differentiated_twice_and_the_gradient_by_weights_is_that_of_the_penalty() -> None:
    # D = w . x has slope w everywhere: with all sign patterns the estimate is exact, and so is its gradient.
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
    signs = torch.cartesian_prod(*[torch.tensor([0.2, 0.8])] * 3).repeat(1, 2)
    x = torch.zeros(16, 3, 1, 1, dtype=torch.float64)
    r1_fd(step_of(lambda x: x.flatten(1) @ w, x, signs)).backward()
    assert w.grad is not None
    torch.testing.assert_close(w.grad, w.detach())

import pytest
import torch
from torch import Tensor

from distal.errors import ConfigError
from distal.losses.regularizers import REGULARIZERS, StepTensors, get_regularizers, r1, r2, regularizer


def quadratic(x: Tensor) -> Tensor:
    """D(x) = sum x^2 / 2 by row, so grad D = x and |grad D|^2 = |x|^2."""
    return 0.5 * x.square().flatten(1).sum(1)


def tensors(x: Tensor) -> StepTensors:
    return StepTensors(x, quadratic(x), torch.zeros(len(x), 1))


def test_r1_and_r2_are_half_the_mean_squared_gradient_over_real_and_generated_images() -> None:
    x = torch.randn(8, 1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    squares = x.detach().square().flatten(1).sum(1)
    # The penalty is taken in float32: relative tolerance 1e-6 is eight times its rounding unit.
    assert r1(tensors(x)).item() == pytest.approx(0.5 * squares[:4].mean().item(), rel=1e-6)
    assert r2(tensors(x)).item() == pytest.approx(0.5 * squares[4:].mean().item(), rel=1e-6)


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
    value = r1(StepTensors(x, torch.tanh(x.flatten(1) @ w.T) @ out, torch.zeros(6, 1)))
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
    step = tensors(x)
    r1(step)
    assert step.squared_gradients is step.squared_gradients


def test_a_null_weight_is_the_default_scaled_by_pixels() -> None:
    chosen = get_regularizers({"r1": None, "r2": 0.3}, pixels=64)
    assert chosen["r1"][1] == pytest.approx(64 * REGULARIZERS["r1"].default)
    assert get_regularizers({"r1": None}, 1024)["r1"][1] == pytest.approx(16 * chosen["r1"][1])
    assert chosen["r2"][1] == 0.3


def test_a_weight_of_zero_leaves_the_regularizer_out() -> None:
    assert get_regularizers({"r1": 0.0}, 64) == {}


def test_an_unknown_regularizer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"train\.regularizers: unknown name 'r11'; did you mean 'r1'"):
        get_regularizers({"r11": 1.0}, 64)


def test_a_regularizer_is_added_by_one_decorated_function() -> None:
    @regularizer("tiny", player="G", lazy=False, default=1.0)
    def tiny(step: StepTensors) -> Tensor:
        return step.logits.square().mean()

    try:
        assert get_regularizers({"tiny": None}, 1)["tiny"][0].player == "G"
    finally:
        del REGULARIZERS["tiny"]

import pytest
import torch
from step_case import step_of
from torch import Tensor, nn

from distal.losses.regularizers import StepTensors
from distal.losses.regularizers.weights import l1, l2, orthogonal

W = torch.tensor([[1.0, 2.0], [3.0, -1.0]])


def step_of_weights(player: str) -> StepTensors:
    """Return a step whose G has the matrix W and a bias, and whose D has W twice as large."""
    networks = [nn.Linear(2, 2), nn.Linear(2, 2)]
    for scale, network in enumerate(networks, start=1):
        network.weight.data = scale * W.clone()
    step = step_of(lambda x: x.flatten(1).sum(1), torch.zeros(2, 1, 1, 1))
    step.G, step.D, step.player = *networks, player  # type: ignore[assignment]
    return step


@pytest.mark.parametrize(("player", "scale"), [("G", 1.0), ("D", 2.0)])
def test_each_penalty_is_its_formula_of_the_weights_of_whoever_learns(player: str, scale: float) -> None:
    # W W' has 1 off its diagonal, twice: rows (1, 2) and (3, -1).
    assert orthogonal(step_of_weights(player)).item() == pytest.approx(2 * scale**4)
    assert l1(step_of_weights(player)).item() == pytest.approx(7 * scale)
    assert l2(step_of_weights(player)).item() == pytest.approx(7.5 * scale**2)


@pytest.mark.parametrize("penalty", [orthogonal, l1, l2])
def test_biases_are_left_alone(penalty: "type[Tensor]") -> None:
    step = step_of_weights("G")
    penalty(step).backward()
    assert isinstance(step.G, nn.Linear)
    assert step.G.weight.grad is not None
    assert step.G.bias.grad is None

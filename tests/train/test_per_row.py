"""Gradients of rows: each bounded, summed in groups, with noise from a stream of its own."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from distal.train import per_row
from distal.train.per_row import add_noise_, clipped_sum

ROWS = 7


def case() -> tuple[nn.Module, dict[str, Tensor], Tensor]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LeakyReLU(0.2), nn.Linear(8, 1)).double()
    return module, {name: p.detach() for name, p in module.named_parameters()}, torch.randn(ROWS, 1, 4, 4).double()


def summed_by_hand(module: nn.Module, x: Tensor, bound: float) -> tuple[dict[str, Tensor], int]:
    names, parameters = zip(*module.named_parameters(), strict=True)
    totals, clipped = {name: torch.zeros_like(p) for name, p in zip(names, parameters, strict=True)}, 0
    for row in x:
        gradients = torch.autograd.grad(module(row[None]).square().sum(), parameters)
        length = torch.cat([g.flatten() for g in gradients]).norm()
        clipped += int(length > bound)
        for name, gradient in zip(names, gradients, strict=True):
            totals[name] += gradient * min(1.0, bound / float(length))
    return totals, clipped


@pytest.mark.parametrize("held", [per_row.HELD, 70])
@pytest.mark.parametrize("bound", [1e-3, 3.0, 1e9])
def test_the_sum_is_that_of_each_rows_gradient_by_itself_made_no_longer_than_the_bound(
    bound: float, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(per_row, "HELD", held)  # 29 parameters: groups of two rows
    module, parameters, x = case()

    def loss(own: dict[str, Tensor], row: Tensor) -> tuple[Tensor, Tensor]:
        value = functional_call(module, own, (row[None],)).square().sum()
        return value, value.detach()[None]

    totals, terms, clipped = clipped_sum(loss, parameters, [x], bound)
    expected, by_hand = summed_by_hand(module, x, bound)
    assert int(clipped) == by_hand
    assert {1e-3: ROWS, 1e9: 0}.get(bound, by_hand) == by_hand
    torch.testing.assert_close(totals, expected)
    torch.testing.assert_close(terms, module(x).square().sum().detach()[None])


def test_noise_is_of_the_deviation_that_is_asked_other_in_each_update_and_the_same_when_made_again() -> None:
    def noise(*name: str | int) -> Tensor:
        totals = {"a": torch.ones(400, 50), "b": torch.ones(20_000)}
        add_noise_(totals, 0.5, 3, *name)
        return torch.stack([totals["a"].flatten(), totals["b"]]) - 1

    first = noise("privacy", 0)
    assert first.std().item() == pytest.approx(0.5, rel=0.03)  # 40,000 values: six standard errors
    assert abs(first.mean().item()) < 0.015
    assert torch.equal(first, noise("privacy", 0))
    for other in (noise("privacy", 1)[0], first[1]):
        assert abs((first[0] * other).mean().item()) < 0.01

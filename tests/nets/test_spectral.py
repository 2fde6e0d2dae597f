import pytest
import torch
from torch import nn

from distal.config import NetConfig
from distal.nets import build_discriminator
from distal.nets.spectral import SpectralConv2d, SpectralLinear, normalize_


def norm(layer: SpectralLinear | SpectralConv2d) -> float:
    """Return the spectral norm of what the layer multiplies by, found by its own forward pass after many others."""
    shape = (1, 5) if isinstance(layer, SpectralLinear) else (1, 3, 1, 1)
    for _ in range(200):
        layer(torch.zeros(shape))
    weight = layer.weight.flatten(1).detach().double()
    sigma = torch.linalg.matrix_norm(weight, 2)
    left = layer.u.double()
    return float(sigma / (left @ weight).norm())


@pytest.mark.parametrize("plain", [nn.Linear(5, 4), nn.Conv2d(3, 4, 1)])
def test_power_iteration_finds_the_largest_singular_value_and_divides_by_it(plain: nn.Module) -> None:
    holder = nn.Sequential(plain)
    normalize_(holder)
    layer = holder[0]
    assert isinstance(layer, SpectralLinear | SpectralConv2d)
    assert norm(layer) == pytest.approx(1.0, abs=1e-5)
    layer.eval()
    x = torch.randn(1, 5) if isinstance(layer, SpectralLinear) else torch.randn(1, 3, 1, 1)
    sigma = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
    expected = (layer.weight.flatten(1) @ x.flatten()) / sigma + layer.bias
    torch.testing.assert_close(layer(x).flatten(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dense", "residual"])
def test_a_normalized_discriminators_logits_move_less_than_its_images_and_a_plain_ones_need_not(name: str) -> None:
    x = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    apart = 0.1 * torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y = torch.eye(4)[torch.arange(16) % 4]

    def slope(spectral: bool) -> float:
        D = build_discriminator(NetConfig(name=name, width=8, spectral_norm=spectral), 8, 1, 4)
        for _ in range(15):
            D(x, y)
        with torch.no_grad():
            for p in D.parameters():
                p.mul_(4.0)
            return float(((D(x + apart, y)[0] - D(x, y)[0]).abs() / apart.flatten(1).norm(dim=1)).max())

    assert slope(spectral=True) < 2.0
    assert slope(spectral=False) > 10 * slope(spectral=True)


def test_the_head_stays_free_and_no_branch_starts_at_nothing() -> None:
    D = build_discriminator(NetConfig(name="residual", width=8, spectral_norm=True), 16, 1, 4)
    assert type(D.head) is nn.Linear
    others = [m for m in D.modules() if isinstance(m, nn.Linear | nn.Conv2d) and m is not D.head]
    assert all(isinstance(m, SpectralLinear | SpectralConv2d) for m in others)
    assert all(m.weight.any() for m in others)


def test_classes_that_are_half_shown_have_half_their_part_in_a_logit() -> None:
    D = build_discriminator(NetConfig(name="dense", width=8, spectral_norm=True), 8, 1, 4).eval()
    phi, y = torch.randn(3, 64, generator=torch.Generator().manual_seed(0)), torch.eye(4)[:3]
    without = D.logits(phi, torch.zeros(3, 4))
    whole = D.logits(phi, y) - without
    D.show_classes_(0.5)
    torch.testing.assert_close(D.logits(phi, y) - without, 0.5 * whole)

"""Regularizers of G against closed forms: mode seeking, feature matching, path length."""

import pytest
import torch
from step_case import step_of
from torch import Tensor, nn

from distal.losses.regularizers.diversity import mode_seeking
from distal.losses.regularizers.moments import feature_matching
from distal.losses.regularizers.paths import FOLLOW, path_length


class Scaled(nn.Module):
    """G(z) = a z, a latent of two numbers as an image of two pixels."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.a * z[:, :, None, None]


def flat(x: Tensor) -> Tensor:
    return x.flatten(1).sum(1)


def made(a: float) -> tuple[Scaled, Tensor, Tensor]:
    G, z = Scaled(a), torch.tensor([[0.5, -1.0], [2.0, 0.25]])
    return G, z, torch.cat([torch.zeros(2, 2, 1, 1), G(z, z)])


def test_mode_seeking_is_the_distance_of_latents_over_that_of_images() -> None:
    G, z, x = made(0.25)
    u = torch.tensor([[0.1, 0.9], [0.3, 0.6]])
    term = mode_seeking(step_of(flat, x, u, "G", G, z))
    assert term.item() == pytest.approx(4.0, rel=1e-3)
    term.backward()
    assert G.a.grad is not None
    assert G.a.grad < 0, "a larger a sets images further apart, and the term falls"


def test_feature_matching_is_the_squared_distance_of_mean_features_with_no_gradient_to_the_real_ones() -> None:
    x = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    term = feature_matching(step_of(flat, x, player="G"))
    expected = (x[:3].mean(0) - x[3:].mean(0)).square().sum().item()
    assert term.item() == pytest.approx(expected, rel=1e-6)
    term.backward()
    assert x.grad is not None
    assert not x.grad[:3].any()
    assert x.grad[3:].any()


def test_path_length_is_the_variance_of_the_jacobians_lengths_around_their_moving_average() -> None:
    state = {name: torch.zeros(()) for name in ("length", "updates")}
    length = 0.0
    for t, a in enumerate([0.5, 2.0, 2.0], start=1):
        G, z, x = made(a)
        u = torch.rand(2, 2, generator=torch.Generator().manual_seed(t))
        noise = torch.distributions.Normal(0.0, 1.0).icdf(u.double()) / 2**0.5
        lengths = a * noise.norm(dim=1)  # J = a I
        length += max(1 / t, FOLLOW) * (lengths.mean().item() - length)
        term = path_length(step_of(flat, x, u, "G", G, z, path_length=state))
        assert term.item() == pytest.approx((lengths - length).square().mean().item(), rel=1e-4), t
    term.backward()
    assert G.a.grad is not None
    assert G.a.grad.abs() > 0, "the penalty is differentiated through the Jacobian"

"""Selectors of latents against closed forms: G draws z itself, and D is a formula, so what comes out is known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from distal.errors import ConfigError
from distal.streams import normal, stream
from distal.train.latents import SELECTORS, Feedback, find_selector
from distal.train.latents.optimization import DAMPING
from distal.train.latents.rejection import BURN_IN

N = 2000
Y = torch.ones(N, 1)
Z = torch.from_numpy(stream(0, "latents").standard_normal((N, 1), dtype=np.float32))


class Line:
    """G(z) = z."""

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        return z


class Word:
    """D(x) by a function of [n, 1] to logits [n]."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self.function = function

    def features(self, x: Tensor) -> Tensor:
        return x

    def logits(self, features: Tensor, y: Tensor) -> Tensor:
        return self.function(features.squeeze(1))


def draw(name: str, draws: int) -> Tensor:
    return torch.from_numpy(stream(1, name).random((N, draws), dtype=np.float32))


def chosen(name: str, function: Callable[[Tensor], Tensor], rows: slice = slice(None), ratio: bool = True) -> Tensor:
    G: Any = Line()
    D: Any = Word(function)
    found = find_selector(name, "--latents")
    assert found is not None
    own = lambda name, draws: draw(name, draws)[rows]  # noqa: E731
    return found.latents(Z[rows], Y[rows], Feedback(G, D, "fp32", ratio), own)


def test_truncation_keeps_the_order_of_latents_and_none_is_beyond_the_bound() -> None:
    z = chosen("truncation:0.7", lambda x: x).squeeze(1)
    assert z.abs().max() <= 0.7
    assert torch.equal(z.argsort(), Z.squeeze(1).argsort())
    # A normal number within -b .. b has the variance 1 - 2 b phi(b) / (2 Phi(b) - 1).
    b = torch.tensor(0.7, dtype=torch.float64)
    variance = 1 - 2 * b * torch.exp(-(b**2) / 2) / (2 * np.pi) ** 0.5 / (2 * torch.special.ndtr(b) - 1)
    assert z.var().item() == pytest.approx(variance.item(), rel=0.1)


def test_latent_optimization_is_one_damped_step_along_ds_slope() -> None:
    z = chosen("latent_optimization:2", lambda x: 3 * x)
    torch.testing.assert_close(z, Z + 2 * 3 / (DAMPING + 9))


@pytest.mark.parametrize("name", ["mh:60", "ddls:120"])
def test_what_takes_logits_for_log_ratios_of_densities_finds_the_real_images_distribution(name: str) -> None:
    # Real images N(1, 0.5), generated N(0, 1): the log ratio is this, up to a constant that may not matter.
    ratio = lambda x: x.square() / 2 - (x - 1).square() / (2 * 0.25) + 7  # noqa: E731
    z = chosen(name, ratio).squeeze(1)
    # 2,000 rows: a standard error of 0.011; Langevin's step of 0.05 widens a deviation of 0.5 by 3%.
    assert z.mean().item() == pytest.approx(1.0, abs=0.06)
    assert z.std().item() == pytest.approx(0.5, abs=0.06)


def test_rejection_accepts_with_the_probability_of_its_equations() -> None:
    word = lambda x: 2 * x  # noqa: E731
    known = 2 * normal((BURN_IN, 1), 0, "burn-in").double().squeeze(1)

    def raw(logits: Tensor) -> Tensor:  # F of Azadi et al. 2019 before gamma
        below = torch.clamp(logits - known.max(), max=0)
        return below - torch.log(1 - torch.exp(below - 1e-6))

    x = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    passes = torch.sigmoid(raw(2 * x) - torch.quantile(raw(known), 0.5))
    density = torch.exp(-x.square() / 2) * passes
    density /= density.sum()
    mean = (density * x).sum()
    deviation = (density * (x - mean).square()).sum().sqrt()
    z = chosen("rejection:0.5", word).squeeze(1)
    # Four standard errors of 2,000 rows; next to none is refused 24 times.
    assert z.mean().item() == pytest.approx(mean.item(), abs=4 * deviation.item() / N**0.5)
    assert z.std().item() == pytest.approx(deviation.item(), abs=4 * deviation.item() / (2 * N) ** 0.5)
    assert mean > 0.3


def test_a_stricter_rejection_keeps_what_d_finds_better() -> None:
    word = lambda x: -x.square()  # noqa: E731
    spread = [chosen(name, word).std().item() for name in ("rejection:0", "rejection:0.8", "rejection:0.95")]
    assert spread[0] > spread[1] > spread[2]


@pytest.mark.parametrize("name", sorted(SELECTORS))
def test_a_latent_is_chosen_by_its_own_row_alone(name: str) -> None:
    word = lambda x: torch.sin(3 * x)  # noqa: E731
    torch.testing.assert_close(chosen(name, word)[5:25], chosen(name, word, slice(5, 25)))
    assert not torch.equal(chosen(name, word), Z)


@pytest.mark.parametrize("name", ["rejection", "mh", "ddls"])
def test_a_logit_that_is_no_log_ratio_is_refused_by_who_takes_it_for_one(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: needs a discriminator whose logit is the logarithm"):
        chosen(name, lambda x: x, ratio=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("truncatio", "--latents: unknown selector of latents 'truncatio'; did you mean 'truncation'"),
        ("truncation:0", r"truncation takes the largest size of an entry, 0\.01 to 10; given: '0'"),
        ("mh:many", "mh takes steps of the chain, 1 to 10000; given: 'many'.\nWrite mh:40"),
    ],
)
def test_an_unknown_name_and_a_number_out_of_range_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        find_selector(text, "--latents")


def test_drawn_latents_are_nobodys_choice() -> None:
    assert find_selector("drawn", "--latents") is None

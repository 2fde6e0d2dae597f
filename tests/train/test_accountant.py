"""What private updates spend, against formulas that opacus has no part in."""

from math import comb, exp, log, log1p

import pytest
import torch
from scipy.special import ndtr

from distal.train.accountant import Accountant

DELTA = 1e-5


def spent(noise: float, rate: float, updates: int) -> float:
    accountant = Accountant()
    for _ in range(updates):
        accountant.spend(noise, 0.0, rate)
    return accountant.epsilon(DELTA)["others"]


def by_integer_orders(noise: float, rate: float, updates: int) -> float:
    """Return epsilon by the binomial sum for integer orders of Mironov, Talwar and Zhang 2019 (section 3.3), and the
    conversion of Canonne, Kamath and Steinke 2020 (proposition 12)."""

    def renyi(a: int) -> float:
        terms = (comb(a, k) * (1 - rate) ** (a - k) * rate**k * exp((k * k - k) / (2 * noise**2)) for k in range(a + 1))
        return log(sum(terms)) / (a - 1)

    return min(updates * renyi(a) + log1p(-1 / a) - log(DELTA * a) / (a - 1) for a in range(2, 38))


@pytest.mark.parametrize(("noise", "rate", "updates"), [(1.1, 0.01, 1000), (2.0, 0.05, 200), (1.0, 0.4, 5)])
def test_epsilon_is_that_of_the_sum_over_orders(noise: float, rate: float, updates: int) -> None:
    ours, opacus = by_integer_orders(noise, rate, updates), spent(noise, rate, updates)
    assert 0.93 * ours < opacus <= ours + 1e-9, "the broken orders between can only lower the bound"


def test_epsilon_of_updates_on_all_rows_is_a_bound_on_that_of_one_normal_mechanism() -> None:
    noise, updates = 20.0, 16
    shift = updates**0.5 / noise  # Gaussian mechanisms in a row are one, of noise / sqrt(updates)

    def delta(epsilon: float) -> float:  # Balle & Wang 2018, theorem 8
        return float(ndtr(shift / 2 - epsilon / shift) - exp(epsilon) * ndtr(-shift / 2 - epsilon / shift))

    bound = spent(noise, 1.0, updates)
    assert delta(bound) < DELTA
    assert delta(0.8 * bound) > DELTA, "no looser than a quarter"


def test_labeled_rows_spend_at_their_own_rate_less_noise_costs_more_and_nothing_costs_nearly_nothing() -> None:
    accountant = Accountant()
    accountant.spend(1.0, 0.2, 0.01)
    both = accountant.epsilon(DELTA)
    assert both["labeled"] == pytest.approx(spent(1.0, 0.2, 1))
    assert both["others"] == pytest.approx(spent(1.0, 0.01, 1))
    assert both["labeled"] > 1.5 * both["others"]
    assert spent(0.7, 0.01, 100) > 2 * spent(1.4, 0.01, 100)


def test_what_was_spent_is_kept_and_counted_on() -> None:
    accountant, again = Accountant(), Accountant()
    for noise in (1.0, 1.0, 2.0):
        accountant.spend(noise, 0.1, 0.01)
    assert again.restore(accountant.to_tensors())
    assert again.lines == [[1.0, 0.1, 0.01, 2.0], [2.0, 0.1, 0.01, 1.0]]
    assert again.updates == 3
    assert not again.restore({})
    assert not again.restore({"spent": torch.zeros(3)})
    assert Accountant().restore(Accountant().to_tensors())

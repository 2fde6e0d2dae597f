"""Several discriminators for one generator: each learns by itself, G by the softmax of its losses."""

from typing import Any

import pytest
import torch
from metric_fakes import on_ranks
from training_case import config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.errors import ConfigError
from distal.models import GAN
from distal.models.several import Several
from distal.resolve import make_config
from distal.train import train_round

STILL = 1e-30


def several(hardness: float = 1.0, count: int = 3, **train: Any) -> Any:
    rates = {
        "learning_rate_g": train.pop("learning_rate_g", 0.05),
        "learning_rate_d": train.pop("learning_rate_d", 0.05),
    }
    own = {"kind": "gman", "discriminators": count, "hardness": hardness, "adversarial": "hinge", **rates}
    return config(model=own, optimizer="sgd", **train)


def flat(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def test_each_discriminator_learns_as_it_would_alone_from_weights_of_its_own() -> None:
    c = several(learning_rate_g=STILL)
    begun, (state, _) = Several.create(c, 8, 1, 2), trained(c, 1)
    alone, _ = trained(config(adversarial="hinge", optimizer="sgd", learning_rate_g=STILL, learning_rate_d=0.05), 1)
    assert torch.equal(flat(state.D), flat(alone.D))
    first, second, third = (flat(D) for D in (begun.D, *begun.others))
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    assert all(not torch.equal(flat(a), flat(b)) for a, b in zip(begun.others, state.others, strict=True))


def moved(hardness: float) -> tuple[torch.Tensor, dict[str, float]]:
    c = several(hardness, learning_rate_d=STILL)
    before, (after, losses) = Several.create(c, 8, 1, 2), trained(c, 1)
    return flat(after.G) - flat(before.G), losses


def test_g_steps_by_the_mean_of_all_and_with_a_large_lambda_by_the_hardest_alone() -> None:
    def by(which: int) -> tuple[torch.Tensor, float]:
        c = config(adversarial="hinge", optimizer="sgd", learning_rate_g=0.05, learning_rate_d=STILL)
        state, of = GAN.create(c, 8, 1, 2), Several.create(several(), 8, 1, 2)
        state.D.load_state_dict((of.D, *of.others)[which].state_dict())
        before = flat(state.G)
        losses = train_round(state, labeled_rows(), Alone(), 1)[1]
        return flat(state.G) - before, losses["g"]

    steps, values = zip(*(by(i) for i in range(3)), strict=True)
    mean, losses = moved(0.0)
    torch.testing.assert_close(mean, torch.stack(steps).mean(0), rtol=1e-3, atol=1e-6)
    assert losses["hardest"] == pytest.approx(1 / 3)
    assert losses["g"] == pytest.approx(sum(values) / 3, rel=1e-4)
    hard, losses = moved(1e6)
    torch.testing.assert_close(hard, steps[values.index(max(values))], rtol=1e-3, atol=1e-6)
    assert losses["hardest"] == pytest.approx(1.0)
    soft, losses = moved(2.0)
    w = torch.softmax(2.0 * torch.tensor(values), 0)
    torch.testing.assert_close(soft, sum(wi * s for wi, s in zip(w, steps, strict=True)), rtol=1e-3, atol=1e-6)
    assert losses["g"] == pytest.approx(float((w * torch.tensor(values)).sum()), rel=1e-4)


def test_two_ranks_equal_one_and_a_run_that_was_broken_off_an_unbroken_one() -> None:
    c = several(count=2, d_steps=2)
    alone, _ = trained(c, 3)
    for state, _ in on_ranks(2, lambda comm: trained(c, 3, comm)):
        torch.testing.assert_close(weights(state), weights(alone), rtol=1e-4, atol=1e-6)
    restored = Several.from_files(c, trained(c, 1)[0].to_files(), expected=(8, 1, 2))
    again, _ = train_round(restored, labeled_rows(), Alone(), 2)
    assert again.to_files() == alone.to_files()


def test_what_knows_one_discriminator_is_refused_with_what_mends_it() -> None:
    def made(train: dict[str, Any] | None = None, **own: Any) -> Any:
        return make_config({"model": {"kind": "gman", **own}, "train": train or {}})

    assert made().model.discriminators == 3
    for words, own in (
        ("balance.knob=none", {"balance": {"knob": "learning_rate_d"}}),
        ("accumulate=1", {"train": {"accumulate": 2}}),
        (r"regularizers\.lecam=0", {"regularizers": {"lecam": 0.3}, "adversarial": "hinge"}),
    ):
        with pytest.raises(ConfigError, match=words):
            made(**own)
    with pytest.raises(ConfigError, match="discriminators"):
        made(discriminators=1)

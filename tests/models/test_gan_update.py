"""Each option of an update does what it says, and nothing is done for one that is off."""

from typing import Any

import frozen_fake
import pytest
import torch
from regularizer_cases import FAMILIES, OPTIONS
from training_case import config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.config import Config
from distal.errors import ConfigError
from distal.losses import ADVERSARIAL
from distal.models import GAN
from distal.models.gan.top_k import best_rows, falling
from distal.resolve import make_config
from distal.train import train_round
from distal.train.batch import draw_batch

STILL = 1e-30
"""A learning rate that moves nothing."""


def plain(**changes: Any) -> Config:
    """Return a configuration whose updates are gradient steps on labeled rows alone: no average has a part in them."""
    rates = {"learning_rate_g": 0.1, "learning_rate_d": 0.1}
    return config(**{"optimizer": "sgd", "labeled_fraction": 1.0, **rates, **changes})


def moved(c: Config, player: str, begun: int = 0) -> torch.Tensor:
    """Return what one update adds to the weights of G or D."""
    before, (after, _) = GAN.create(c, 8, 1, 2), trained(c, 1, begun=begun)
    flat = [torch.cat([p.detach().flatten() for p in getattr(s, player).parameters()]) for s in (before, after)]
    return flat[1] - flat[0]


def test_d_is_updated_as_often_as_is_asked_on_a_batch_of_its_own_each_time() -> None:
    twice, _ = trained(plain(d_steps=2, learning_rate_g=STILL), 1)
    two, _ = trained(plain(learning_rate_g=STILL), 2)
    assert all(torch.equal(a, b) for a, b in zip(twice.D.parameters(), two.D.parameters(), strict=True))


@pytest.mark.parametrize(("player", "still"), [("D", "learning_rate_g"), ("G", "learning_rate_d")])
def test_accumulation_steps_down_the_mean_gradient_of_its_batches(player: str, still: str) -> None:
    alone = [moved(plain(**{still: STILL}), player, begun) for begun in (0, 1)]
    both = moved(plain(accumulate=2, **{still: STILL}), player)
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2, rtol=1e-4, atol=1e-7)
    assert not torch.allclose(alone[0], alone[1])


def test_a_gradient_is_clipped_a_schedule_heard_and_weights_decay() -> None:
    clipped = moved(plain(clip_norm=0.01), "D")
    assert clipped.norm().item() == pytest.approx(0.1 * 0.01, rel=1e-3)
    torch.testing.assert_close(moved(plain(warmup_steps=3), "D"), moved(plain(), "D") / 4, rtol=1e-3, atol=1e-7)
    state = GAN.create(plain(weight_decay=0.25), 8, 1, 2)
    before = torch.cat([p.detach().flatten() for p in state.D.parameters()])
    shrunk = moved(plain(weight_decay=0.25), "D") - moved(plain(), "D")
    torch.testing.assert_close(shrunk, -0.1 * 0.25 * before, rtol=1e-3, atol=1e-6)


def test_all_labels_have_a_part_in_every_update_where_that_is_asked() -> None:
    c = plain(full_labels=True, class_balance=0.0, labeled_fraction=0.25)
    assert not torch.allclose(moved(c, "D"), moved(plain(labeled_fraction=0.25), "D"))


def losses(begun: int = 0, **changes: Any) -> dict[str, float]:
    """Return the terms of one update of networks that stay as they began."""
    return trained(config(learning_rate_g=STILL, learning_rate_d=STILL, **changes), 1, begun=begun)[1]


def test_g_learns_from_the_best_of_its_images_and_d_from_all() -> None:
    every, best = (losses(5000, adversarial="wasserstein", top_k=share) for share in (1.0, 0.5))
    assert best["g"] < every["g"], "the logits of the better half are higher"
    assert best["d"] == every["d"]
    assert falling(0.5, 0) == 1.0
    assert falling(0.5, 500) == pytest.approx(0.999**500)
    assert falling(0.5, 5000) == 0.5


def test_the_best_rows_are_those_of_the_global_batch() -> None:
    class Second(Alone):
        """Be the second of two ranks, whose first has the logits 0, 3, 0, ..., 0 for its six rows."""

        def sum_(self, tensors: Any) -> None:
            tensors[0][1] += 3.0

    batch = draw_batch(labeled_rows(), 0, 12, 0.0, 4, 0, 1, 2, torch.device("cpu"), torch.contiguous_format)
    kept, share = best_rows(torch.tensor([1.0, -1.0, 5.0, 2.0, -2.0, -3.0]), batch, 0.25, Second())
    assert isinstance(kept, torch.Tensor)
    assert kept.tolist() == [False, False, True, True, False, False], "the third of the best three is the first rank's"
    assert share == pytest.approx(2 / 3)


def test_latents_are_moved_towards_what_d_believes_before_both_players_learn() -> None:
    drawn, optimized = (losses(adversarial="wasserstein", latents=name) for name in ("drawn", "latent_optimization:5"))
    assert optimized["g"] < drawn["g"]
    assert optimized["d"] > drawn["d"], "D meets images that it believes more"


def test_a_constant_in_all_logits_is_nothing_to_centred_losses_alone() -> None:
    def d_loss(name: str, constant: float) -> float:
        state = GAN.create(config(adversarial=name, learning_rate_d=STILL, learning_rate_g=STILL), 8, 1, 2)
        with torch.no_grad():
            state.D.psi.bias.add_(constant)
        return float(state.advance(labeled_rows(), Alone())["d"])

    assert ADVERSARIAL.entries["relativistic_average"].centred
    assert d_loss("relativistic_average", 3.0) == pytest.approx(d_loss("relativistic_average", 0.0), rel=1e-5)
    assert d_loss("non_saturating", 3.0) > 1.2 * d_loss("non_saturating", 0.0)


@pytest.mark.parametrize("player", FAMILIES)
def test_each_regularizer_joins_the_loss_of_its_player_and_changes_what_is_learned(player: str) -> None:
    for name in FAMILIES[player]:
        own = {"r1": 0.0, "r2": 0.0, name: 0.5}
        state, terms = trained(config(regularizers=own), 2)
        without, _ = trained(config(regularizers={"r1": 0.0, "r2": 0.0}), 2)
        assert {name, f"{name}_g"} & set(terms), name
        assert not torch.equal(weights(state), weights(without)), name


def test_a_frozen_network_is_looked_through_again_for_what_differentiates_by_images_alone() -> None:
    with frozen_fake.added() as network:
        looks = {}
        for name in ("orthogonal", "lecam", "r1"):
            own = {"reconstruction": 0.0, "regularizers": {name: 0.1}}
            state = GAN.create(config("projected", backbone="tiny", **own), 8, 1, 2)
            network.saw.clear()
            state.advance(labeled_rows(), Alone())
            looks[name] = len(network.saw)
    assert looks == {"orthogonal": 3, "lecam": 3, "r1": 4}


def test_killed_and_resumed_equals_unbroken_with_whatever_an_update_is_made_of() -> None:
    stateful = {"regularizers": {"lecam": None, "path_length": None, "bcr": None}}
    for name, case in {**OPTIONS, "stateful": stateful}.items():
        given = {key: value for key, value in case.items() if key != "begun"}
        c = config(**{"top_k": 0.5, **given})
        unbroken, _ = trained(c, 6)
        restored = GAN.from_files(c, trained(c, 3)[0].to_files())
        train_round(restored, labeled_rows(), Alone(), 3)
        assert restored.to_files() == unbroken.to_files(), name


def test_what_would_do_nothing_or_cannot_choose_a_steps_latents_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model\.regularizers\.bcr: compares .* train\.augment is empty"):
        make_config({"train": {"augment": []}, "model": {"regularizers": {"bcr": None}}})
    make_config({"train": {"augment": []}, "model": {"regularizers": {"bcr": 0.0}}})
    with pytest.raises(ConfigError, match=r"model\.latents: mh chooses .*\n.*distal generate --latents mh:5"):
        make_config({"model": {"latents": "mh:5"}})

"""A GAN whose discriminator looks through a frozen network: what is saved, what fades in, what is computed once."""

import json
from collections.abc import Iterator
from typing import Any

import frozen_fake
import pytest
import torch
from training_case import config, labeled_rows, trained, weights

from distal.communicator import Alone
from distal.config import Config
from distal.errors import ConfigError, RunError
from distal.models import GAN
from distal.resolve import make_config
from distal.train import train_round


@pytest.fixture(autouse=True)
def tiny() -> Iterator[frozen_fake.Tiny]:
    with frozen_fake.added() as network:
        yield network


def projected(**changes: Any) -> Config:
    return config("projected", **{"backbone": "tiny"} | changes)


def test_rates_are_the_networks_own_unless_they_are_given() -> None:
    def rates(c: Config) -> list[float]:
        state, _ = trained(c, 1)
        return [group["lr"] for optimizer in state.optimizers for group in optimizer.param_groups]

    assert rates(config()) == [5e-4, 5e-4]
    assert rates(projected()) == [1e-3, 2e-4]
    assert rates(projected(learning_rate_g=3e-4)) == [3e-4, 2e-4]


def test_killed_amid_the_fade_and_resumed_equals_unbroken() -> None:
    c = projected(class_judged=0.5, class_fade=[2, 8])
    unbroken, _ = trained(c, 10)
    broken, _ = trained(c, 5)
    restored = GAN.from_files(c, broken.to_files())
    train_round(restored, labeled_rows(), Alone(), 5)
    assert restored.to_files() == unbroken.to_files()


def test_frozen_weights_do_not_change_and_are_recorded_by_their_hash_alone(tiny: frozen_fake.Tiny) -> None:
    before = [p.clone() for p in tiny.parameters()]
    state, _ = trained(projected(), 3)
    assert all(torch.equal(a, b) for a, b in zip(before, tiny.parameters(), strict=True))
    assert json.loads(state.to_files()["manifest.json"])["frozen"] == "1" * 64


def test_a_checkpoint_of_other_frozen_weights_is_refused() -> None:
    files = trained(projected(), 1)[0].to_files()
    with frozen_fake.added("2" * 64), pytest.raises(RunError, match=r"looked through weights 1{8}\.\.\., .*has 2{8}"):
        GAN.from_files(projected(), files)


def test_images_are_looked_at_once_a_step_for_both_phases(tiny: frozen_fake.Tiny) -> None:
    state = GAN.create(projected(), 8, 1, 2)
    tiny.saw.clear()
    state.advance(labeled_rows(), Alone())
    looked = [shape[0] for shape in tiny.saw]
    assert looked == [9, 6, 12, 12], "unlabeled rows, rows to reconstruct, real views, generated views"


def test_no_penalty_goes_through_the_frozen_network_unless_it_is_asked_for() -> None:
    _, losses = trained(projected(), 2)
    assert set(losses) == {"d", "g", "head", "pseudo_label", "class", "apart", "code"}
    _, losses = trained(projected(regularizers={"r1": 0.1, "r2": None}), 2)
    assert losses["r1"] > 0
    assert "r2" not in losses


def test_classes_fade_in_linearly_between_two_steps() -> None:
    def shown(c: Config) -> list[float]:
        objective = GAN.create(c, 8, 1, 2).objective
        return [objective.shown(step) for step in (0, 2, 3, 4, 5)]

    assert shown(projected(class_fade=[2, 4])) == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert shown(projected(class_fade=[3, 3])) == [0.0, 0.0, 1.0, 1.0, 1.0]
    assert shown(projected(class_fade=[0, 0])) == shown(config()) == [1.0] * 5


@pytest.mark.parametrize("net", ["dense", "projected"])
def test_before_the_fade_classes_have_no_part_in_anything_and_after_it_they_have(net: str) -> None:
    c = config(net, backbone="tiny", class_judged=1.0, class_fade=[3, 4])
    before, after = trained(c, 3)[0], trained(c, 6)[0]
    first = GAN.create(c, 8, 1, 2)
    for part in ("G.embedding.weight", "D.projection.weight"):
        network, key = part.split(".", 1)
        start, early, late = (getattr(state, network).get_parameter(key) for state in (first, before, after))
        assert torch.equal(early, start), part
        assert not torch.equal(late, start), part
    z = torch.randn(4, 64, generator=torch.Generator().manual_seed(0))
    zeros, ones = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    assert torch.equal(before.generate(z, zeros), before.generate(z, ones))
    assert not torch.equal(after.generate(z, zeros), after.generate(z, ones))
    assert not before.scorer().discriminator.projection.weight.any(), "a scorer judges classes as far as they are shown"


def test_the_heads_word_on_generated_classes_is_not_heard_before_the_fade() -> None:
    runs = [trained(projected(class_fade=[3, 3], class_weight=w), 3)[0] for w in (0.0, 5.0)]
    assert torch.equal(weights(runs[0]), weights(runs[1]))


def test_a_scorer_and_an_image_depend_on_their_own_row_and_probabilities_come_of_the_head() -> None:
    state, _ = trained(projected(), 4)
    pixels = torch.from_numpy(labeled_rows().images.pixels(torch.arange(6).numpy()))
    scorer = GAN.read_scorer(state.scorer().to_bytes())
    scores = scorer(pixels)
    torch.testing.assert_close(scores["probs"].sum(1), torch.ones(6))
    torch.testing.assert_close(scores["probs"][:1], scorer(pixels[:1])["probs"])
    assert scores["realism"].shape == (6,)


def test_a_fade_that_ends_before_it_begins_and_an_unknown_backbone_are_refused() -> None:
    with pytest.raises(ConfigError, match="the first step of the fade comes after its last"):
        make_config({"model": {"class_fade": [5, 2]}})
    with pytest.raises(ConfigError, match="did you mean 'efficientnet_lite0'"):
        make_config({"net": {"backbone": "efficientnet"}})

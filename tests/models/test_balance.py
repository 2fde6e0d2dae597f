"""D is held at its target by the knob that is named."""

from typing import Any

import numpy as np
import pytest
import torch
from training_case import Stripes, config, labeled_rows, weights

from distal.communicator import Alone
from distal.config import BalanceConfig
from distal.errors import ConfigError
from distal.losses import ADVERSARIAL
from distal.models import GAN
from distal.models.gan.balance import Balance, accuracy, overfitting
from distal.resolve import make_config
from distal.train import TrainingRows
from distal.train.augment import AUGMENTATIONS, Augmentation

REAL, FAKE = torch.tensor([2.0, 0.4, -1.0, 3.0]), torch.tensor([-1.0, 0.7, -2.0, -3.0])


def balance(**own: Any) -> Balance:
    c = config(model={"balance": {"knob": "augmentation", "images": 480, **own}})
    made = Balance.of(c, c.model.balance, ADVERSARIAL.entries["rpgan"], torch.device("cpu"))
    assert made is not None
    return made


def test_overfitting_is_the_mean_sign_and_accuracy_how_often_d_is_right() -> None:
    assert overfitting(REAL, FAKE, 0.0).item() == (1 + 1 - 1 + 1) / 4
    assert overfitting(REAL, FAKE, 0.5).item() == 0.0
    assert overfitting(REAL, FAKE, None).item() == (1 - 1 + 1 + 1) / 4
    assert accuracy(REAL, FAKE, 0.0).item() == (3 / 4 + 3 / 4) / 2
    assert accuracy(REAL, FAKE, None).item() == 3 / 4


def test_a_constant_in_all_logits_is_nothing_where_the_loss_is_of_differences() -> None:
    for name, loss in ADVERSARIAL.entries.items():
        moved = overfitting(REAL + 9, FAKE + 9, loss.boundary).item() != overfitting(REAL, FAKE, loss.boundary).item()
        assert moved == (name in ("minimax", "non_saturating", "least_squares", "hinge")), name


def test_the_knob_moves_every_fourth_update_and_brings_what_answers_to_it_to_the_target() -> None:
    b, seen = balance(), []
    for update in range(1, 161):
        answer = 1.0 - b.state["held_back"]  # the further D is held back, the less it overfits
        seen.append(b.follow({"overfitting": answer}, update)["held_back"].item())
    assert seen[:8] == pytest.approx([0.0] * 3 + [0.1] * 4 + [0.2])
    assert np.mean(seen[-40:]) == pytest.approx(0.4, abs=0.06), "1 - 0.4 is the target"
    for update in range(161, 300):
        b.follow({"overfitting": torch.tensor(-1.0)}, update)
    assert b.state["held_back"].item() == 0.0, "never below what the configuration asks for"


def test_each_knob_turns_its_own() -> None:
    half = {"held_back": torch.tensor(0.5)}
    rate, steps, gates = (balance(knob=knob) for knob in ("learning_rate_d", "d_steps", "augmentation"))
    assert all(b.restore(half) for b in (rate, steps, gates))
    assert [b.rate for b in (rate, steps, gates)] == [0.25, 1.0, 1.0]
    assert [b.steps(5) for b in (rate, steps, gates)] == [5, 3, 5]
    plain, varied = torch.zeros(2, 1, 1, 1), torch.ones(2, 1, 1, 1)
    assert gates.augmented(plain, varied, torch.tensor([0.4, 0.6])).flatten().tolist() == [1.0, 0.0]
    assert rate.augmented(plain, varied, torch.tensor([0.4, 0.6])).flatten().tolist() == [1.0, 1.0]
    assert not rate.restore({"held_back": torch.zeros(2)})


def toy(**own: Any) -> np.ndarray:
    """Return (overfitting, held_back) of each of 150 updates on sixteen images, with a D that learns fast."""
    varied = {"augment": ["brightness", "contrast", "cutout"], "labeled_fraction": 0.0, "regularizers": {}}
    c = config(adversarial="non_saturating", learning_rate_d=2e-3, model={"balance": own}, **varied)
    gan, ids = GAN.create(c, 8, 1, 2), np.arange(2)
    rows = TrainingRows(Stripes(), 16, np.zeros(0, np.int64), None, ids, ids % 2, seed=4)
    losses = [gan.advance(rows, Alone()) for _ in range(150)]
    return np.array([[float(each[name]) for name in ("overfitting", "held_back")] for each in losses])


def test_d_is_held_near_the_target_where_it_would_know_its_few_images_by_heart() -> None:
    held, free = toy(knob="learning_rate_d", images=1500), toy(knob="learning_rate_d", images=10**9)
    assert free[50:, 0].mean() > 0.8
    assert held[50:, 0].mean() == pytest.approx(0.6, abs=0.15)
    assert held[:, 1].max() > 0.3
    assert free[:, 1].max() < 1e-3


def test_augmentation_begins_at_none_and_comes_with_the_knob(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AUGMENTATIONS.entries, "nothing", Augmentation(lambda x, u: x, 1))  # whose draws are as many

    def updated(name: str, held_back: float) -> torch.Tensor:
        gan = GAN.create(config(augment=[name], model={"balance": {"knob": "augmentation"}}), 8, 1, 2)
        assert gan.balance is not None
        gan.balance.restore({"held_back": torch.tensor(held_back)})
        for _ in range(3):
            gan.advance(labeled_rows(), Alone())
        return weights(gan)

    assert torch.equal(updated("brightness", 0.0), updated("nothing", 0.0))
    assert not torch.equal(updated("brightness", 1.0), updated("nothing", 1.0))


def test_a_knob_that_has_nothing_to_turn_is_refused() -> None:
    assert BalanceConfig().knob == "none"
    for tree, said in (
        ({"train": {"augment": []}, "model": {"balance": {"knob": "augmentation"}}}, "train.augment"),
        ({"model": {"balance": {"knob": "d_steps"}}}, "model.d_steps"),
    ):
        with pytest.raises(ConfigError, match=rf"model\.balance\.knob: .*{said}"):
            make_config(tree)

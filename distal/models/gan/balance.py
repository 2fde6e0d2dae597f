"""Hold D's overfitting, or its accuracy, at a target by one knob, so that few images do not end the game.

Karras et al. 2020 (ADA), section 3: what D makes of the images that it learns from says how far it has learned them by
heart, and that number steers how hard D is made to work. Theirs is the probability of augmentation; here it may be D's
rate or the number of its steps as well. The knob is one number: how far D is held back, 0 (not at all) to 1.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from distal.config import BalanceConfig, Config
from distal.errors import ConfigError
from distal.losses.adversarial import AdversarialLoss

INTERVAL = 4
"""Updates whose measures are averaged before the knob is moved (ADA, section 3.2)."""

SLOWEST = 1 / 16
"""Of D's learning rate, where it is held back as far as can be."""

HELD_BACK = "held_back"
"""Name of the knob among a round's losses."""


def overfitting(real: Tensor, fake: Tensor, boundary: float | None) -> Tensor:
    """Return r_t = E sign(D_train), float32 scalar in [-1, 1]: ADA, eq. 1.

    real, fake: D's logits [n] of real images and of their generated partners. boundary: the logit that is neither real
    nor generated; a loss of differences has none (None), and the sign is that of the pair's difference.
    """
    return (real - (fake if boundary is None else boundary)).sign().mean()


def accuracy(real: Tensor, fake: Tensor, boundary: float | None) -> Tensor:
    """Return how often D is right, float32 scalar in [0, 1]: by image, or by pair where there is no boundary."""
    if boundary is None:
        return (real > fake).float().mean()
    return 0.5 * ((real > boundary).float().mean() + (fake < boundary).float().mean())


MEASURES = {"overfitting": overfitting, "accuracy": accuracy}
TARGETS = {"overfitting": 0.6, "accuracy": 0.8}
"""Of what ADA holds; and the accuracy, by pairs, that is the same."""


class Balance:
    """Own the knob of one run: how far D is held back, and what was measured since it was last moved.

    All of it is two numbers on the device, which are saved with the checkpoint, so that a run goes on as if unbroken.
    They move by the mean over the global batch, alike on every rank.
    """

    def __init__(self, own: BalanceConfig, loss: AdversarialLoss, batch: int, device: torch.device) -> None:
        self.own, self.boundary = own, loss.boundary
        self.target = TARGETS[own.measure] if own.target is None else own.target
        self.step = batch * INTERVAL / own.images
        self.state = {name: torch.zeros((), device=device) for name in ("held_back", "measured")}
        self._held_back: float | None = None

    @classmethod
    def of(cls, config: Config, own: BalanceConfig, loss: AdversarialLoss, device: torch.device) -> "Balance | None":
        """Return what the section asks for; None where it names no knob."""
        batch = config.train.global_batch * config.train.accumulate
        return None if own.knob == "none" else cls(own, loss, batch, device)

    def measure(self, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        """Return what D's logits [n] say, by name: a mean over this rank's rows."""
        return {self.own.measure: MEASURES[self.own.measure](real.detach(), fake.detach(), self.boundary)}

    def follow(self, losses: Mapping[str, Tensor], update: int) -> dict[str, Tensor]:
        """Take the losses of the global batch after update number `update` (from 1); return the knob by name.

        Every INTERVAL updates the knob moves by a fixed step to the side that the mean measure asks for.
        """
        held_back, measured = self.state["held_back"], self.state["measured"]
        measured.add_(losses[self.own.measure])
        if update % INTERVAL == 0:
            held_back.add_((measured / INTERVAL - self.target).sign() * self.step).clamp_(0.0, 1.0)
            measured.zero_()
            self._held_back = None
        return {HELD_BACK: held_back.clone()}

    @property
    def number(self) -> float:
        """Return how far D is held back as a number, for which a GPU is waited for once every INTERVAL updates."""
        if self._held_back is None:
            self._held_back = float(self.state["held_back"])
        return self._held_back

    @property
    def rate(self) -> float:
        """Return what D's learning rate is multiplied by, SLOWEST to 1."""
        return SLOWEST**self.number if self.own.knob == "learning_rate_d" else 1.0

    def steps(self, most: int) -> int:
        """Return how often D is updated for one update of G, 1 to `most`."""
        return most - round((most - 1) * self.number) if self.own.knob == "d_steps" else most

    def augmented(self, plain: Tensor, varied: Tensor, uniforms: Tensor) -> Tensor:
        """Return images [n, C, H, W], augmented with the probability that the knob says: uniforms [n] in [0, 1)."""
        if self.own.knob != "augmentation":
            return varied
        return torch.where((uniforms < self.state["held_back"])[:, None, None, None], varied, plain.to(varied.dtype))

    def restore(self, saved: Mapping[str, Tensor]) -> bool:
        """Put `state` back, a number that was not saved being 0; False where these are not its tensors."""
        if any(t.shape for t in saved.values()):
            return False
        for name, tensor in self.state.items():
            tensor.copy_(saved.get(name, torch.zeros(())))
        self._held_back = None
        return True


def check_balance(config: Config, own: BalanceConfig, d_steps: int) -> None:
    """Raise ConfigError where the knob that is named has nothing to turn."""
    if own.knob == "augmentation" and not config.train.augment:
        raise ConfigError(
            "model.balance.knob: augmentation is the probability of what train.augment names, and it names nothing.\n"
            "Name augmentations that suit the images, or take learning_rate_d."
        )
    if own.knob == "d_steps" and d_steps == 1:
        raise ConfigError(
            "model.balance.knob: d_steps lowers model.d_steps down to 1, and it is 1 already.\n"
            "Raise model.d_steps to the most that D may take, or take learning_rate_d."
        )

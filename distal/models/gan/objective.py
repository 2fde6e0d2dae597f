"""Hold what a configuration says about a GAN's step, every name looked up once."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from distal.config import Config, GanConfig
from distal.errors import ConfigError
from distal.losses.adversarial import ADVERSARIAL, AdversarialLoss
from distal.losses.regularizers import Regularizer, get_regularizers
from distal.models.gan.top_k import falling
from distal.nets import get_network
from distal.train.augment import AUGMENTATIONS, Augmentation
from distal.train.latents import Chosen, find_selector


def gan_section(config: Config) -> GanConfig:
    """Return the section `model` of a GAN's configuration."""
    if not isinstance(config.model, GanConfig):
        raise ConfigError(f"model.kind: {config.model.kind} is no GAN.")
    return config.model


@dataclass(frozen=True)
class Objective:
    """Hold everything that the configuration says about a step, resolved once."""

    own: GanConfig
    adversarial: AdversarialLoss
    regularizers: Mapping[str, tuple[Regularizer, float]]
    augmentations: list[Augmentation]
    arithmetic: str
    device: torch.device
    fade: tuple[int, int]
    reconstruction: float
    learning_rates: tuple[float, float]
    selector: Chosen | None

    @classmethod
    def resolve(cls, config: Config, image_size: int, arithmetic: str, device: torch.device) -> "Objective":
        """Look every name up. ConfigError for an unknown one."""
        own, network = gan_section(config), get_network(config.net.name, image_size)
        return cls(
            own,
            ADVERSARIAL.find(own.adversarial),
            get_regularizers(own.regularizers, image_size**2, network.penalized),
            list(map(AUGMENTATIONS.find, config.train.augment)),
            arithmetic,
            device,
            network.class_fade if own.class_fade is None else own.class_fade,
            network.reconstruction if own.reconstruction is None else own.reconstruction,
            (
                network.learning_rates[0] if own.learning_rate_g is None else own.learning_rate_g,
                network.learning_rates[1] if own.learning_rate_d is None else own.learning_rate_d,
            ),
            find_selector(own.latents, "model.latents"),
        )

    def shown(self, step: int) -> float:
        """Return how much of the classes is shown at this step (from 0), 0 to 1: they are faded in between two steps.

        What a class does is linear in y, so that y is multiplied by it.
        """
        first, last = self.fade
        return 1.0 if step >= last else max(0.0, (step - first) / max(1, last - first))

    def learned_from(self, step: int) -> float:
        """Return the share of the generated images that G learns from at this step (from 0): it falls to `top_k`."""
        return falling(self.own.top_k, step)

    def due(self, player: str, step: int) -> dict[str, tuple[Regularizer, float]]:
        """Return the regularizers of G or D that apply at this step, lazy ones with their weight times the interval."""
        n = self.own.lazy_interval
        return {
            name: (r, weight * (n if r.lazy else 1))
            for name, (r, weight) in self.regularizers.items()
            if r.player in (player, "both") and (not r.lazy or step % n == 0)
        }

    def require_no_gradient_of_a_row(self, network: str, private: bool) -> None:
        """Raise ConfigError where a regularizer takes the gradient of a row's logit, or D's updates are private: other
        rows have a part in it."""
        if private:
            raise ConfigError(
                f"model.privacy.noise: a row's gradient is not its own, for net.name={network} has a BatchNorm in it.\n"
                "Take another network, or set model.privacy.noise=null."
            )
        wrong = [name for name, (r, _) in self.regularizers.items() if r.per_row]
        if wrong:
            off = ", ".join(f"{name}: 0" for name in wrong)
            raise ConfigError(
                f"model.regularizers: {', '.join(wrong)} need a discriminator whose rows do not mix, but net.name="
                f"{network} has a BatchNorm in it.\nSet model.regularizers={{{off}}}, or take another normalization."
            )

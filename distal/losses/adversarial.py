"""Adversarial losses: pairs of functions over logits, by their standard names.

Each takes the logits of real images and of generated ones, float [n] each, row i of both of the same class, and returns
a scalar to be minimized, a mean over rows, so that the mean over ranks is the loss of the global batch.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from distal.registry import Registry

Logits = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class AdversarialLoss:
    """Hold (real_logits [n], fake_logits [n]) -> scalar for either player. relative: G's loss needs the real logits."""

    discriminator: Logits
    generator: Logits
    relative: bool


def rpgan_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E f(-(D(x) - D(G(z)))) with f = softplus: relativistic pairing, Jolicoeur-Martineau 2018; R3GAN 2024, eq. 2."""
    return F.softplus(fake - real).mean()


def rpgan_generator(real: Tensor, fake: Tensor) -> Tensor:
    """The same with the roles exchanged (non-saturating form): E softplus(D(x) - D(G(z)))."""
    return F.softplus(real - fake).mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))): Lim & Ye 2017, eq. 4; SAGAN, Zhang et al. 2019, eq. 4."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(real: Tensor, fake: Tensor) -> Tensor:
    """- E D(G(z))."""
    return -fake.mean()


def non_saturating_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """- E log s(D(x)) - E log(1 - s(D(G(z)))), Goodfellow et al. 2014, eq. 1, s the logistic function, stably."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating_generator(real: Tensor, fake: Tensor) -> Tensor:
    """- E log s(D(G(z))), Goodfellow et al. 2014, section 3."""
    return F.softplus(-fake).mean()


ADVERSARIAL: Registry[AdversarialLoss] = Registry(
    "model.adversarial",
    "loss",
    "distal.losses",
    {
        "rpgan": AdversarialLoss(rpgan_discriminator, rpgan_generator, relative=True),
        "hinge": AdversarialLoss(hinge_discriminator, hinge_generator, relative=False),
        "non_saturating": AdversarialLoss(non_saturating_discriminator, non_saturating_generator, relative=False),
    },
    AdversarialLoss,
)

"""Adversarial losses: pairs of functions over logits, by their standard names.

Each takes the logits of real images and of generated ones, float [n] each, row i of both of the same class, and returns
a scalar to be minimized, a mean over rows, so that the mean over ranks is the loss of the global batch. D's logit is
C(x) in the papers on relativistic losses, s is the logistic function, and log(1 + exp) is taken in its stable form.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from distal.registry import Registry

Logits = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class AdversarialLoss:
    """Hold (real_logits [n], fake_logits [n]) -> scalar for either player.

    relative: G's loss needs the real logits. centred: both functions are given each kind's logits less the mean of the
    other kind's over the global batch. ratio: the best D's logit is the logarithm of the ratio of the densities of real
    and generated images, up to a constant, which is what the selectors of latents by chance take it for. boundary: the
    logit that is neither real nor generated; None where differences alone count.
    """

    discriminator: Logits
    generator: Logits
    relative: bool
    centred: bool = False
    ratio: bool = False
    boundary: float | None = None


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


def minimax_generator(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 - s(D(G(z)))), Goodfellow et al. 2014, eq. 1: its gradient vanishes where D is sure of itself."""
    return -F.softplus(fake).mean()


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2: Mao et al. 2017, with their codes 0 and 1."""
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    """1/2 E (D(G(z)) - 1)^2."""
    return 0.5 * (fake - 1).square().mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x): Arjovsky et al. 2017. Without a bound on D's slope (`wgan_gp`, `net.spectral_norm`) it has no
    minimum."""
    return fake.mean() - real.mean()


def relativistic_average_generator(real: Tensor, fake: Tensor) -> Tensor:
    """- E log s(C(G(z)) - E C(x)) - E log(1 - s(C(x) - E C(G(z)))): RaSGAN, Jolicoeur-Martineau 2018.

    Its D has the non-saturating one's loss of the same differences.
    """
    return F.softplus(real).mean() + F.softplus(-fake).mean()


ADVERSARIAL: Registry[AdversarialLoss] = Registry(
    "model.adversarial",
    "loss",
    "distal.losses",
    {
        "rpgan": AdversarialLoss(rpgan_discriminator, rpgan_generator, relative=True, ratio=True),
        "relativistic_average": AdversarialLoss(
            non_saturating_discriminator, relativistic_average_generator, relative=True, centred=True
        ),
        "minimax": AdversarialLoss(
            non_saturating_discriminator, minimax_generator, relative=False, ratio=True, boundary=0.0
        ),
        "non_saturating": AdversarialLoss(
            non_saturating_discriminator, non_saturating_generator, relative=False, ratio=True, boundary=0.0
        ),
        "least_squares": AdversarialLoss(
            least_squares_discriminator, least_squares_generator, relative=False, boundary=0.5
        ),
        "hinge": AdversarialLoss(hinge_discriminator, hinge_generator, relative=False, boundary=0.0),
        "wasserstein": AdversarialLoss(wasserstein_discriminator, hinge_generator, relative=False),
    },
    AdversarialLoss,
)

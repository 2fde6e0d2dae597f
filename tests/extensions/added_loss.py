"""An adversarial loss that a package could add: least squares, Mao et al. 2017, eq. 2."""

from distal.losses import AdversarialLoss

least_squares = AdversarialLoss(
    discriminator=lambda real, fake: (real - 1).square().mean() + fake.square().mean(),
    generator=lambda real, fake: (fake - 1).square().mean(),
    relative=False,
)

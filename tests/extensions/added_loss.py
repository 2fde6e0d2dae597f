"""An adversarial loss that a package could add: hinges whose squares count."""

import torch.nn.functional as F

from distal.losses import AdversarialLoss

squared_hinge = AdversarialLoss(
    discriminator=lambda real, fake: F.relu(1 - real).square().mean() + F.relu(1 + fake).square().mean(),
    generator=lambda real, fake: -fake.mean(),
    relative=False,
)

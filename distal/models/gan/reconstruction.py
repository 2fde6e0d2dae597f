"""Make some of a step's images from the latents of real ones, and hold them to those (CVAE-GAN, Bao et al. 2017).

An adversary says only whether an image could be real: under it the images of a class of few examples soon become one
image. Here G also decodes what an encoder says of real images under their class, so that each of them has to be
somewhere among what G can draw, and the divergence from the normal distribution (Kingma & Welling 2014, eq. 10) makes
that "somewhere" the latents that are drawn when images are asked for. D judges these images beside the others.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from distal.nets import Discriminator
from distal.nets.encoder import Encoder
from distal.nets.precision import autocast
from distal.train.batch import Batch
from distal.train.carrying import carried

if TYPE_CHECKING:
    from distal.models.gan.objective import Objective
    from distal.models.gan.step import Views

MAPS_WEIGHT = 0.5
"""Of the difference of frozen maps, 0 to 4, against that of pixels, 0.1 or so: a defect is a few pixels."""
HALVINGS = 3
"""Of the images, whose difference counts at each size: a shade that is wrong over a region weighs four times."""


def chosen_rows(batch: Batch, fraction: float) -> tuple[Tensor, int]:
    """Return which of this rank's rows are reconstructed, int64 [r], and how many of the global batch.

    They are spread evenly over the batch, whose labeled rows lie in the order of their classes, and are the same
    however the batch is cut over ranks.
    """
    at = batch.positions.double()
    rows = torch.floor((at + 1) * fraction) > torch.floor(at * fraction)
    return carried(rows.nonzero().squeeze(1), batch.images.device), max(1, int(batch.total * fraction))


@dataclass(frozen=True)
class Codes:
    """Hold the latents of the rows that are reconstructed: rows int64 [r] of this rank's, `total` of the global batch.

    mean, log_variance: float32 [r, z], of their normal distributions. latents: float32 [r, z], drawn from these.
    """

    rows: Tensor
    total: int
    mean: Tensor
    log_variance: Tensor
    latents: Tensor

    @classmethod
    def of(cls, encoder: Encoder, D: Discriminator, batch: Batch, y: Tensor, objective: "Objective") -> "Codes":
        """Encode real images, not augmented, under classes y [n, K]; the batch's latents are the noise of the draw."""
        rows, total = chosen_rows(batch, objective.own.reconstructed)
        with autocast(objective.arithmetic, objective.device):
            with torch.no_grad():
                seen = D.see(batch.images[rows])
            mean, log_variance = encoder(seen, batch.images[rows], y[rows])
        return cls(rows, total, mean, log_variance, mean + batch.latents[rows] * (0.5 * log_variance).exp())

    def into(self, per_row: Tensor, values: Tensor) -> Tensor:
        """Return per_row [n, ...] with these rows replaced by values [r, ...]."""
        return per_row.index_copy(0, self.rows, values.to(per_row))

    def divergence(self) -> Tensor:
        """Return this rank's share of KL(N(mean, variance) | N(0, 1)) in nats: Kingma & Welling 2014, appendix B."""
        per_latent = 0.5 * (self.mean.square() + self.log_variance.exp() - 1 - self.log_variance)
        return per_latent.sum() / self.total

    def difference(self, views: "Views", images: Tensor, frozen: bool) -> Tensor:
        """Return this rank's share of the mean difference of generated from real images [n, C, H, W].

        frozen: what D sees are maps of a frozen network, whose difference counts as well.
        """
        rows = self.rows
        apart = pixels_apart(views.made[rows], images[rows])
        if frozen:
            maps = [maps_apart(m[rows], s[rows]) for m, s in zip(views.fake_seen, views.real_seen, strict=True)]
            apart = apart + MAPS_WEIGHT * torch.stack(maps).mean(0)
        return apart.sum() / self.total


def pixels_apart(made: Tensor, images: Tensor) -> Tensor:
    """Return the mean absolute difference of images [n, C, H, W], float32 [n], the mean over sizes, halved thrice."""
    difference = made - images
    sums = difference.abs().mean((1, 2, 3))
    for _ in range(HALVINGS):
        difference = F.avg_pool2d(difference, 2)
        sums = sums + difference.abs().mean((1, 2, 3))
    return sums / (HALVINGS + 1)


def maps_apart(made: Tensor, real: Tensor) -> Tensor:
    """Return the mean squared distance of two maps' [n, C, H, W] unit vectors at a place, 0 to 4, float32 [n].

    The form of LPIPS without its learned weights (Zhang et al. 2018, eq. 1).
    """
    difference = F.normalize(made.float(), dim=1) - F.normalize(real.float(), dim=1)
    return difference.square().sum(1).mean((1, 2))

"""Learn from what people said of images that the run drew itself: a name teaches the head, a refusal D as a whole.

A named image is a labeled row to the head and nothing to the rest of D: it is never judged as a real image. One that is
"nothing of these" is judged as a generated image of the class of the real row that it stands beside, for it is of none;
the head learns that all classes are equally likely there (outlier exposure, Hendrycks et al. 2019, eq. 1 with the
uniform distribution), so that G is not drawn to such images for their class.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distal.losses.supervised import cross_entropy, one_hot
from distal.nets.precision import autocast
from distal.train.augment import augment
from distal.train.synthesized import SynthesizedBatch

if TYPE_CHECKING:
    from distal.models.gan.step import Step


def answered_losses(step: "Step", answered: SynthesizedBatch, real: Tensor, centre: Tensor) -> dict[str, Tensor]:
    """Return this rank's share of the head's loss on answered images, and of D's on the refused ones among them.

    Each weighs as one labeled row does in the head's loss, and as one pair does in D's. real: float [n], logits of the
    batch's real rows as the adversarial loss takes them. centre: [n], what it adds to a generated image's logit.
    """
    D, batch, objective = step.D, step.batch, step.objective
    none = real.new_zeros(())
    if not len(answered.labels):  # another rank has them all, and networks take no empty batch
        return {"answered": none, "refused": none}
    classes = step.classes.y_real.shape[1]
    refused = answered.labels < 0
    with autocast(objective.arithmetic, objective.device):
        x = augment(answered.images.contiguous(), answered.augment, objective.augmentations)
        features = D.features(x)
        class_logits = D.classify(features)
        logits = D.logits(features, step.judged[0][answered.partners]).float()
    named = one_hot(answered.labels.clamp_min(0), classes)
    target = torch.where(refused[:, None], torch.full_like(named, 1.0 / classes), named)
    terms = {"answered": cross_entropy(class_logits, target).sum() / batch.labeled_total}
    beside, count = answered.partners[refused], int(refused.sum())
    pairs = real[beside], (logits + centre[answered.partners])[refused]
    lost = objective.adversarial.discriminator(*pairs) * (count / batch.total) if count else none
    return {**terms, "refused": lost}

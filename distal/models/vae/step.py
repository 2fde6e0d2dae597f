"""Write a VAE's objective down: the bound of labeled rows, that of unlabeled ones, and the classifier's own loss.

After M2 (Kingma, Mohamed, Rezende, Welling 2014). For a labeled row, with beta as in Higgins et al. 2017,

    L(x, y) = E_q(z|x,y) [-ln p(x | y, z)] + beta KL(q(z | x, y) || p(z)) - ln p(y),

for an unlabeled one the class is a latent as well,

    U(x) = sum_y q(y | x) (L(x, y) + ln p(y)) + KL(q(y | x) || p(y)),

and q(y | x) learns from labels by cross-entropy besides, without which no label would ever reach it. p(y) is uniform.
All of it but that last term is in nats an image and divided by the values of an image, so that the weight of the
classifier (the paper's alpha) means the same for every size of image.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from distal.config import ModelSection, Positive, Weight
from distal.losses.supervised import cross_entropy, one_hot
from distal.models.vae.networks import Nets
from distal.nets.precision import autocast
from distal.train.augment import Augmentation, augment
from distal.train.batch import Batch

TEMPERATURE = 0.5
"""Of the relaxed class: low enough to be nearly one class, high enough for gradients that are not all noise."""


class VaeConfig(ModelSection):
    """The VAE's own."""

    kind: Literal["vae"] = Field("vae", description="model by name: gan, vae, ensemble, or one that a package adds")
    beta: Weight = Field(
        1.0, description="weight of the divergence from the prior: above 1 plainer latents and blurrier images"
    )
    code_spread: Positive | None = Field(
        None,
        description="images are drawn around the latents of labeled images of their class, so many times as far as the "
        "encoder is unsure of them: more of them are of their class, and they vary less; null: from all over the prior",
    )
    learning_rate: Positive = Field(1e-3, description="step size")
    head_weight: Weight = Field(1.0, description="weight of the classifier's cross-entropy on labeled rows")
    unlabeled: Literal["sum", "sample", "none"] = Field(
        "sum",
        description="class of an unlabeled row: sum decodes it under every class, as the bound says; sample draws one "
        "class a row (Gumbel-softmax), at a cost that does not grow with the classes; none leaves unlabeled rows out",
    )


@dataclass(frozen=True)
class Objective:
    """Hold everything that the configuration says about a step, resolved once."""

    own: VaeConfig
    augmentations: list[Augmentation]
    arithmetic: str
    device: torch.device


@dataclass(frozen=True)
class Rows:
    """Hold what is encoded and decoded on one rank: each row under one class, and what it counts for.

    x: [m, C, H, W]. features: [m, F]. y: [m, K]. latents: [m, z], standard normal. weight: [m], 1 for a labeled row,
    q(y | x) for an unlabeled one under y.
    """

    x: Tensor
    features: Tensor
    y: Tensor
    latents: Tensor
    weight: Tensor

    def __add__(self, other: "Rows") -> "Rows":
        mine, its = ((r.x, r.features, r.y, r.latents, r.weight) for r in (self, other))
        x, features, y, latents, weight = (torch.cat(pair) for pair in zip(mine, its, strict=True))
        return Rows(x, features, y, latents, weight)


def unlabeled_rows(batch: Batch, features: Tensor, probs: Tensor, how: str) -> Rows:
    """Return the batch's unlabeled rows under their classes: features [u, F] and q(y | x) [u, K] of them."""
    labeled, (rows, classes) = len(batch.labels), probs.shape
    x, z = batch.images[labeled:], batch.latents[labeled:]
    if how == "sample":
        y = relaxed(probs, batch.uniforms("vae classes", classes)[labeled:])
        return Rows(x, features, y, z, torch.ones(rows, device=x.device))
    x, features, z = (t.repeat_interleave(classes, 0) for t in (x, features, z))
    return Rows(x, features, torch.eye(classes, device=x.device).repeat(rows, 1), z, probs.flatten())


def relaxed(probs: Tensor, uniforms: Tensor) -> Tensor:
    """Draw one-hot classes [n, K] whose gradient is that of their relaxation (Jang, Gu, Poole 2017: straight-through).

    uniforms: [n, K] in [0, 1).
    """
    gumbel = -torch.log(-torch.log(uniforms.clamp(1e-7, 1 - 1e-7)))
    soft = ((probs.clamp_min(1e-20).log() + gumbel) / TEMPERATURE).softmax(1)
    return one_hot(soft.argmax(1), probs.shape[1]) + soft - soft.detach()


def losses(nets: Nets, batch: Batch, objective: Objective) -> tuple[Tensor, dict[str, Tensor]]:
    """Return this rank's share of the loss and of each of its terms by name.

    `reconstruction` and `kl` in nats an image, `class_kl` of the unlabeled rows, `head` in nats; and, which is no part
    of the loss, `pixel_error`, the mean squared error of a pixel in [-1, 1].
    """
    own, labeled = objective.own, len(batch.labels)
    alone = own.unlabeled == "none"
    x = batch.images[:labeled] if alone else batch.images
    counted, values = max(batch.labeled_total if alone else batch.total, 1), batch.images[0].numel()
    varied = augment(batch.images[:labeled], batch.augment_real[:labeled], objective.augmentations)
    with autocast(objective.arithmetic, objective.device):
        features, seen = torch.split(nets.features(torch.cat([x, varied])), [len(x), labeled])
        logits, seen_logits = nets.classify(features[labeled:]), nets.classify(seen)
        known = one_hot(batch.labels, logits.shape[1])
        ones = torch.ones(labeled, device=x.device)
        rows = Rows(x[:labeled], features[:labeled], known, batch.latents[:labeled], ones)
        probs = logits.softmax(1)
        if len(probs):
            rows = rows + unlabeled_rows(batch, features[labeled:], probs, own.unlabeled)
        posterior = nets.posterior(rows.features, rows.y)
        decoded = nets.decode(posterior.sample(rows.latents), rows.y)
    terms = {
        "reconstruction": (rows.weight * nets.reconstruction(rows.x, decoded)).sum() / counted,
        posterior.term: (rows.weight * posterior.divergence()).sum() / counted,
    }
    bound = terms["reconstruction"] + own.beta * terms[posterior.term]
    if not alone and batch.total > batch.labeled_total:
        terms["class_kl"] = (probs * (logits.log_softmax(1) + math.log(logits.shape[1]))).sum() / counted
        bound = bound + terms["class_kl"]
    loss = bound / values
    if batch.labeled_total:
        terms["head"] = cross_entropy(seen_logits, known).sum() / batch.labeled_total
        loss = loss + own.head_weight * terms["head"]
    with torch.no_grad():
        terms["pixel_error"] = (rows.weight * (rows.x - decoded).square().flatten(1).mean(1)).sum() / counted
    return loss, terms

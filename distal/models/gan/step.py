"""Update D, then G, once: min over G, max over D of L(G, D) + sum_i lambda_i R_i(G, D), with few labels.

Semi-supervised as S3GAN (Lucic et al. 2019, section 3.2): a labeled row is judged under its label, an unlabeled one
under the soft prediction of the (averaged) head. The generated partner of each row is of the same class, drawn from
that prediction, so the relativistic loss compares like with like. The head learns from labels (cross-entropy) and from
its own confident predictions (FixMatch, Sohn et al. 2020); the augmented view that D sees anyway is the strong view.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from distal.communicator import Communicator, summed
from distal.config import Config, GanConfig
from distal.errors import ConfigError
from distal.losses.adversarial import ADVERSARIAL, AdversarialLoss
from distal.losses.regularizers import Regularizer, StepTensors, get_regularizers
from distal.losses.supervised import cross_entropy, pseudo_label
from distal.models.gan.conditions import Conditions
from distal.models.gan.reconstruction import Codes
from distal.models.gan.synthesized import answered_losses
from distal.models.gan.top_k import best_rows, falling
from distal.nets import Discriminator, Generator, get_network
from distal.nets.precision import autocast
from distal.train.augment import AUGMENTATIONS, Augmentation, augment
from distal.train.batch import Batch
from distal.train.latents import Chosen, Feedback, find_selector


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

    def require_no_gradient_of_a_row(self, network: str) -> None:
        """Raise ConfigError where a regularizer takes the gradient of a row's logit: other rows have a part in it."""
        wrong = [name for name, (r, _) in self.regularizers.items() if r.per_row]
        if wrong:
            off = ", ".join(f"{name}: 0" for name in wrong)
            raise ConfigError(
                f"model.regularizers: {', '.join(wrong)} need a discriminator whose rows do not mix, but net.name="
                f"{network} has a BatchNorm in it.\nSet model.regularizers={{{off}}}, or take another normalization."
            )


@dataclass(frozen=True)
class Step:
    """Hold what both phases of update number `number` (from 0) share on one rank.

    state: of each regularizer that keeps any, its tensors by name.
    """

    G: Generator
    D: Discriminator
    batch: Batch
    classes: Conditions
    objective: Objective
    number: int
    comm: Communicator
    state: Mapping[str, Mapping[str, Tensor]]

    @property
    def shown(self) -> float:
        """Return how much of the classes is shown at this step."""
        return self.objective.shown(self.number)

    @property
    def judged(self) -> tuple[Tensor, Tensor]:
        """Return the classes [n, K] that D judges real and generated images under, as far as they are shown."""
        return self.shown * self.classes.y_real, self.shown * self.classes.y_fake

    @cached_property
    def latents(self) -> Tensor:
        """Return the latents [n, z] of the generated images: the batch's, or what a selector makes of them."""
        selector, batch, z = self.objective.selector, self.batch, self.batch.latents
        if selector is not None:
            feedback = Feedback(self.G, self.D, self.objective.arithmetic, self.objective.adversarial.ratio)
            z = selector.latents(z, self.shown * self.classes.y_fake, feedback, batch.uniforms)
        return z if self.codes is None else self.codes.into(z, self.codes.latents)

    @cached_property
    def codes(self) -> Codes | None:
        """Return the latents of the real images that are reconstructed; None where none is."""
        G, D, y = self.G, self.D, self.judged[1]
        return None if G.encoder is None else Codes.of(G.encoder, D, self.batch, y, self.objective)

    def generate(self) -> Tensor:
        """Return the generated images float32 [n, C, H, W], with the graph that reaches G where one is kept."""
        with autocast(self.objective.arithmetic, self.objective.device):
            images: Tensor = self.G(self.latents, self.shown * self.classes.y_fake).float()
        return images

    def as_seen(self, images: Tensor) -> Tensor:
        """Augment generated images as D sees them: what is reconstructed as its real image is."""
        u, real, codes = self.batch.augment_fake, self.batch.augment_real, self.codes
        u = u if codes is None else codes.into(u, real[codes.rows])
        return augment(images, u, self.objective.augmentations)

    def again(self, images: Tensor, name: str) -> Tensor:
        """Augment real and generated images [2 n, C, H, W] by uniforms of this name."""
        u = self.batch.uniforms(name, 2 * self.batch.augment_fake.shape[1])
        return augment(images, torch.cat(u.chunk(2, 1)), self.objective.augmentations)

    def compared(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits as the adversarial loss takes them: as they are, or less the mean of the other kind."""
        if not self.objective.adversarial.centred:
            return real, fake
        means = summed(torch.stack([real.sum(), fake.sum()]), self.comm) / self.batch.total
        return real - means[1], fake - means[0]

    def penalties(
        self, player: Literal["G", "D"], images: Tensor, features: Tensor, logits: Tensor
    ) -> dict[str, tuple[Tensor, float]]:
        """Return this rank's share of each regularizer of G or D that is due, with its weight, by name."""
        y = torch.cat(self.judged)
        tensors = StepTensors(
            player,
            self.G,
            self.D,
            images,
            features,
            logits,
            y,
            self.latents,
            self.batch.total,
            self.comm,
            self.objective.arithmetic,
            self.state,
            self.batch.uniforms,
            self,
        )
        due = self.objective.due(player, self.number)
        return {name: (r.function(tensors) * self.batch.share, weight) for name, (r, weight) in due.items()}


@dataclass(frozen=True)
class Views:
    """Hold what D sees in both phases, augmented: images float [n, C, H, W], and what `Discriminator.see` returns.

    made: generated images as they were before. made, fake and fake_seen: with the graph that reaches G.
    """

    made: Tensor
    real: Tensor
    fake: Tensor
    real_seen: tuple[Tensor, ...]
    fake_seen: tuple[Tensor, ...]

    @classmethod
    def of(cls, step: Step, made: Tensor) -> "Views":
        """Augment real and generated images and look at them, once for both phases: a frozen network is not cheap."""
        D, batch, objective, fake = step.D, step.batch, step.objective, step.as_seen(made)
        with autocast(objective.arithmetic, objective.device):
            with torch.no_grad():
                real = augment(batch.images, batch.augment_real, objective.augmentations)
                real_seen = D.see(real)
            return cls(made, real, fake, real_seen, D.see(fake))


def discriminator_losses(step: Step, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
    """Return this rank's share of D's loss and of each of its terms, unweighted, by name."""
    D, batch, classes, objective = step.D, step.batch, step.classes, step.objective
    n, labeled, own = len(batch.images), len(batch.labels), objective.own
    x = torch.cat([views.real, views.fake.detach()])
    with autocast(objective.arithmetic, objective.device):
        if any(r.by_images for r, _ in objective.due("D", step.number).values()):
            seen = D.see(x.requires_grad_())
        else:
            seen = tuple(torch.cat([r, f.detach()]) for r, f in zip(views.real_seen, views.fake_seen, strict=True))
        features = D.features_of(seen)
        logits = D.logits(features, torch.cat(step.judged)).float()
        class_logits = D.classify(features[:n])
    compared = step.compared(logits[:n], logits[n:])
    terms = {"d": objective.adversarial.discriminator(*compared) * batch.share}
    loss = terms["d"]
    for name, (term, weight) in step.penalties("D", x, features, logits).items():
        terms[name] = term
        loss = loss + weight * term
    if batch.labeled_total:
        known = cross_entropy(class_logits[:labeled], classes.y_real[:labeled])
        terms["head"] = known.sum() / batch.labeled_total
        loss = loss + own.head_weight * terms["head"]
        if own.pseudo_label_weight and batch.total > batch.labeled_total:
            guessed = pseudo_label(class_logits[labeled:], classes.predicted, own.pseudo_label_threshold)
            terms["pseudo_label"] = guessed.sum() / (batch.total - batch.labeled_total)
            loss = loss + own.pseudo_label_weight * terms["pseudo_label"]
    if batch.synthesized is not None:
        terms |= answered_losses(step, batch.synthesized, compared[0], compared[1] - logits[n:])
        loss = loss + own.head_weight * terms["answered"] + terms["refused"]
    return loss, terms


def generator_losses(step: Step, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
    """Return this rank's share of G's loss and of each of its terms. D asks for no gradient."""
    D, batch, classes, objective = step.D, step.batch, step.classes, step.objective
    own, due = objective.own, objective.due("G", step.number)
    y_real, y_fake = step.judged
    with autocast(objective.arithmetic, objective.device):
        features = D.features_of(views.fake_seen)
        fake_logits = D.logits(features, y_fake).float()
        class_logits = D.classify(features)
    real_logits = torch.zeros_like(fake_logits)
    if objective.adversarial.relative or due:
        with torch.no_grad(), autocast(objective.arithmetic, objective.device):
            real_features = D.features_of(views.real_seen)
            real_logits = D.logits(real_features, y_real).float()
    kept, share = best_rows(fake_logits, batch, objective.learned_from(step.number), step.comm)
    real_compared, fake_compared = step.compared(real_logits, fake_logits)
    # A rank that keeps no row has no mean, yet a graph like the others'.
    judged = objective.adversarial.generator(real_compared[kept], fake_compared[kept]) if share else fake_logits.sum()
    terms = {"g": judged * share}
    loss = terms["g"]
    if due:
        pairs = (views.real, views.fake), (real_features, features), (real_logits, fake_logits)
        for name, (term, weight) in step.penalties("G", *map(torch.cat, pairs)).items():
            terms[f"{name}_g"] = term
            loss = loss + weight * term
    if own.class_weight and batch.labeled_total:
        terms["class"] = cross_entropy(class_logits, classes.y_fake).sum() / batch.total
        loss = loss + own.class_weight * step.shown * terms["class"]
    if step.codes is not None:
        terms["apart"] = step.codes.difference(views, batch.images, D.frozen_hash is not None)
        terms["code"] = step.codes.divergence()
        loss = loss + objective.reconstruction * terms["apart"] + own.code_weight * terms["code"]
    return loss, terms

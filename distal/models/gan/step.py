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
from distal.losses.regularizers import StepTensors
from distal.losses.supervised import negative_log_likelihood, pseudo_label
from distal.models.gan.balance import Balance
from distal.models.gan.conditions import Conditions
from distal.models.gan.objective import Objective
from distal.models.gan.reconstruction import Codes
from distal.models.gan.synthesized import answered_losses
from distal.models.gan.top_k import best_rows
from distal.nets import Discriminator, Generator
from distal.nets.precision import autocast
from distal.train.augment import augment
from distal.train.batch import Batch
from distal.train.latents import Feedback


def times(tensor: Tensor, factor: float) -> Tensor:
    """Return a tensor times a factor that is mostly 1, for which there is nothing to do."""
    return tensor if factor == 1 else tensor * factor


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
    balance: Balance | None = None

    @property
    def shown(self) -> float:
        """Return how much of the classes is shown at this step."""
        return self.objective.shown(self.number)

    @cached_property
    def judged(self) -> tuple[Tensor, Tensor]:
        """Return the classes [n, K] that D judges real and generated images under, as far as they are shown."""
        return times(self.classes.y_real, self.shown), times(self.classes.y_fake, self.shown)

    @cached_property
    def judged_together(self) -> Tensor:
        """Return the classes [2 n, K] of real images, then of generated ones."""
        return torch.cat(self.judged)

    @cached_property
    def latents(self) -> Tensor:
        """Return the latents [n, z] of the generated images: the batch's, or what a selector makes of them."""
        selector, batch, z = self.objective.selector, self.batch, self.batch.latents
        if selector is not None:
            feedback = Feedback(self.G, self.D, self.objective.arithmetic, self.objective.adversarial.ratio)
            z = selector.latents(z, self.judged[1], feedback, batch.uniforms)
        return z if self.codes is None else self.codes.into(z, self.codes.latents)

    @cached_property
    def codes(self) -> Codes | None:
        """Return the latents of the real images that are reconstructed; None where none is."""
        G, D, y = self.G, self.D, self.judged[1]
        return None if G.encoder is None else Codes.of(G.encoder, D, self.batch, y, self.objective)

    def generate(self) -> Tensor:
        """Return the generated images float32 [n, C, H, W], with the graph that reaches G where one is kept."""
        with autocast(self.objective.arithmetic, self.objective.device):
            images: Tensor = self.G(self.latents, self.judged[1]).float()
        return images

    @cached_property
    def augment_fake(self) -> Tensor:
        """Return the uniforms that generated images are augmented by: of what is reconstructed, its real image's."""
        u, real, codes = self.batch.augment_fake, self.batch.augment_real, self.codes
        return u if codes is None else codes.into(u, real[codes.rows])

    def augmented(self, images: Tensor, uniforms: Tensor, gates: Tensor) -> Tensor:
        """Augment images [n, C, H, W] by uniforms [n, draws], as often as D's balance says: gates [n] in [0, 1)."""
        varied = augment(images, uniforms, self.objective.augmentations)
        return varied if self.balance is None else self.balance.augmented(images, varied, gates)

    @cached_property
    def gates(self) -> Tensor:
        """Return the uniforms [2 n] that say which images are augmented; as it is reconstructed, so is a real image."""
        if self.balance is None:
            return self.batch.class_uniforms
        real, fake = self.batch.uniforms("balance", 2).unbind(1)
        return torch.cat([real, fake if self.codes is None else self.codes.into(fake, real[self.codes.rows])])

    def as_seen(self, images: Tensor) -> Tensor:
        """Augment generated images as D sees them."""
        return self.augmented(images, self.augment_fake, self.gates[-len(images) :])

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
        tensors = StepTensors(
            player,
            self.G,
            self.D,
            images,
            features,
            logits,
            self.judged_together,
            self.latents,
            self.batch.total,
            self.comm,
            self.objective.arithmetic,
            self.state,
            self.batch.uniforms,
            self,
        )
        due = self.objective.due(player, self.number)
        return {name: (times(r.function(tensors), self.batch.share), weight) for name, (r, weight) in due.items()}


@dataclass(frozen=True)
class Views:
    """Hold what D sees in both phases, augmented: images float [n, C, H, W], and what `Discriminator.see` returns.

    made: generated images as they were before. both: the real images, then the generated ones, [2 n, C, H, W], without
    a graph. made, fake and fake_seen: with the graph that reaches G.
    """

    made: Tensor
    both: Tensor
    fake: Tensor
    real_seen: tuple[Tensor, ...]
    fake_seen: tuple[Tensor, ...]

    @property
    def real(self) -> Tensor:
        """Return the real images."""
        return self.both[: len(self.made)]

    @classmethod
    def of(cls, step: Step, made: Tensor) -> "Views":
        """Augment real and generated images and look at them, once for both phases: a frozen network is not cheap."""
        D, batch, objective = step.D, step.batch, step.objective
        with autocast(objective.arithmetic, objective.device):
            uniforms = torch.cat([batch.augment_real, step.augment_fake])
            augmented = step.augmented(torch.cat([batch.images, made]), uniforms, step.gates)
            both, (_, fake) = augmented.detach(), augmented.chunk(2)
            with torch.no_grad():
                real_seen = D.see(both[: len(made)])
            return cls(made, both, fake, real_seen, D.see(fake))


def discriminator_losses(step: Step, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
    """Return this rank's share of D's loss and of each of its terms, unweighted, by name."""
    D, batch, classes, objective = step.D, step.batch, step.classes, step.objective
    n, labeled, own = len(batch.images), len(batch.labels), objective.own
    x = views.both.detach()  # anew, for another phase may not ask for its gradient
    with autocast(objective.arithmetic, objective.device):
        if any(r.by_images for r, _ in objective.due("D", step.number).values()):
            seen = D.see(x.requires_grad_())
        else:
            seen = tuple(torch.cat([r, f.detach()]) for r, f in zip(views.real_seen, views.fake_seen, strict=True))
        features = D.features_of(seen)
        logits = D.logits(features, step.judged_together).float()
        class_logits = D.classify(features[:n])
    of_labeled, of_others = torch.split(class_logits, [labeled, n - labeled])
    compared = step.compared(*logits.chunk(2))
    terms = {"d": times(objective.adversarial.discriminator(*compared), batch.share)}
    loss = terms["d"]
    if step.balance is not None:
        terms |= {name: times(value, batch.share) for name, value in step.balance.measure(*logits.chunk(2)).items()}
    for name, (term, weight) in step.penalties("D", x, features, logits).items():
        terms[name] = term
        loss = loss.add(term, alpha=weight)
    if batch.labeled_total:
        terms["head"] = negative_log_likelihood(of_labeled, batch.labels) / batch.labeled_total
        loss = loss.add(terms["head"], alpha=own.head_weight)
        if own.pseudo_label_weight and batch.total > batch.labeled_total:
            guessed = pseudo_label(of_others, classes.predicted, own.pseudo_label_threshold)
            terms["pseudo_label"] = guessed.sum() / (batch.total - batch.labeled_total)
            loss = loss.add(terms["pseudo_label"], alpha=own.pseudo_label_weight)
    if batch.synthesized is not None:
        terms |= answered_losses(step, batch.synthesized, compared[0], compared[1] - logits[n:])
        loss = loss + own.head_weight * terms["answered"] + terms["refused"]
    return loss, terms


def generator_losses(step: Step, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
    """Return this rank's share of G's loss and of each of its terms."""
    D, batch, classes, objective = step.D, step.batch, step.classes, step.objective
    own, due = objective.own, objective.due("G", step.number)
    y_real, y_fake = step.judged
    with autocast(objective.arithmetic, objective.device):
        features = D.features_of(views.fake_seen)
        fake_logits = D.logits(features, y_fake).float()
        class_logits = D.classify(features)
        real_logits = fake_logits.detach()  # of no concern, where the loss looks at generated images alone
        if objective.adversarial.relative or due:
            with torch.no_grad():
                real_features = D.features_of(views.real_seen)
                real_logits = D.logits(real_features, y_real).float()
    kept, share = best_rows(fake_logits, batch, objective.learned_from(step.number), step.comm)
    judged = step.compared(real_logits, fake_logits)
    if not isinstance(kept, slice):
        judged = judged[0][kept], judged[1][kept]
    # A rank that keeps no row has no mean, yet a graph like the others'.
    terms = {"g": times(objective.adversarial.generator(*judged), share) if share else fake_logits.sum() * 0}
    loss = terms["g"]
    if due:
        pairs = (real_features, features), (real_logits, fake_logits)
        seen = torch.cat([views.real, views.fake])
        for name, (term, weight) in step.penalties("G", seen, *map(torch.cat, pairs)).items():
            terms[f"{name}_g"] = term
            loss = loss.add(term, alpha=weight)
    if own.class_weight and batch.labeled_total:
        terms["class"] = negative_log_likelihood(class_logits, classes.labels_fake) / batch.total
        loss = loss.add(terms["class"], alpha=own.class_weight * step.shown)
    if step.codes is not None:
        terms["apart"] = step.codes.difference(views, batch.images, D.frozen_hash is not None)
        terms["code"] = step.codes.divergence()
        loss = loss.add(terms["apart"], alpha=objective.reconstruction).add(terms["code"], alpha=own.code_weight)
    return loss, terms

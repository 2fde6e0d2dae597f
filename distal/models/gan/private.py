"""Update D privately, then G, which sees of the rows nothing but D: DP-SGD (Abadi et al. 2016) on a GAN's D.

A row of D's loss is a real image with its generated partner: one adversarial term, and what the head learns of it. Its
gradient is made no longer than `clip`, and normal noise is added to the sum over the batch, into which each row came by
chance. G is asked for classes drawn evenly, whatever the batch holds, so that all it learns is what was released of D
(post-processing, Dwork & Roth 2014, prop. 2.1). This holds for hinge-like losses alone: a relativistic G looks at real
images. What else would look at rows beside the noise is refused by `unprivate.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from distal import streams
from distal.communicator import Communicator
from distal.config import Config, PrivacyConfig
from distal.losses.supervised import cross_entropy, one_hot
from distal.models.gan.conditions import Conditions, condition
from distal.models.gan.objective import Objective
from distal.models.gan.step import Step, Views, generator_losses
from distal.nets import Discriminator, Generator
from distal.nets.held import learns_
from distal.nets.precision import autocast
from distal.train.accountant import Accountant
from distal.train.batch import Batch
from distal.train.carrying import carried
from distal.train.checkpoint import Checkpoint, damaged
from distal.train.descent import Losses, descend, step_down
from distal.train.per_row import RowLoss, add_noise_, clipped_sum
from distal.train.rows import TrainingRows, part

SPENT = "privacy"
"""What private updates have spent; there is no such file without `model.privacy`."""


@dataclass(frozen=True)
class Privacy:
    """Hold what makes D's updates private. noise, clip: see `PrivacyConfig`. batch, labeled: expected rows of a batch,
    and labeled ones among them where there are labels: sums are divided by these, not by what came."""

    noise: float
    clip: float
    delta: float
    batch: int
    labeled: int
    accountant: Accountant

    @classmethod
    def of(cls, config: Config, own: PrivacyConfig) -> "Privacy | None":
        """Return what the section asks for; None where it asks for no noise."""
        if own.noise is None:
            return None
        labeled = round(config.train.labeled_fraction * config.train.global_batch)
        return cls(own.noise, own.clip, own.delta, config.train.global_batch, labeled, Accountant())

    def to_tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return what was spent, by the name of its file."""
        return {SPENT: self.accountant.to_tensors()}

    def restore(self, saved: Checkpoint) -> None:
        """Go on counting from a checkpoint. RunError where its updates were not counted."""
        if not self.accountant.restore(saved.tensors(SPENT)):
            raise damaged(f"{SPENT}.safetensors", "updates before it were not private; begin a new run")

    def spent(self) -> dict[str, float]:
        """Return what was spent so far, as metrics.json says it."""
        epsilon = self.accountant.epsilon(self.delta)
        named = {f"epsilon_{kind}": value for kind, value in epsilon.items()}
        return named | {"delta": self.delta, "noise": self.noise, "updates": self.accountant.updates}


def update_privately(
    G: Generator,
    D: Discriminator,
    averaged_D: Discriminator,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    batches: Sequence[Sequence[Batch]],
    objective: Objective,
    number: int,
    comm: Communicator,
    privacy: Privacy,
    rows: TrainingRows,
    clip_norm: float | None = None,
) -> dict[str, Tensor]:
    """Make update `number` (from 0): D privately on each batch, then G; return the terms by name.

    batches: of D's phases, each of one piece, drawn by chance from `rows`.
    """
    rates = rows.rates(privacy.batch, privacy.labeled)
    labels = rates[0] > 0  # whether any are known: what a batch happens to hold must not weigh its other rows
    done: dict[str, Tensor] = {}
    for phase, (batch,) in enumerate(batches):
        classes = condition(averaged_D, batch, G.classes, objective)
        step = Step(G, D, batch, classes, objective, number, comm, {})
        done |= _update_d(step, optimizers[1], privacy, phase, labels, clip_norm)
        privacy.accountant.spend(privacy.noise, *rates)
    public = _public(batches[-1][0], privacy.batch, labels, comm)
    step = Step(G, D, public, _even(public, G.classes), objective, number, comm, {})

    def asked() -> Losses:
        with autocast(objective.arithmetic, objective.device):
            made = step.generate()
            fake = step.as_seen(made)
            views = Views(made, fake.detach(), fake, (), D.see(fake))
        return generator_losses(step, views)

    learns_(D, False)
    done |= descend(G, optimizers[0], [asked], comm, clip_norm)
    learns_(D, True)
    return done


def _update_d(
    step: Step, optimizer: torch.optim.Optimizer, privacy: Privacy, phase: int, labels: bool, clip_norm: float | None
) -> dict[str, Tensor]:
    """Step down the noisy mean of the rows' clipped gradients; return the terms of the expected batch by name."""
    D, comm = step.D, step.comm
    parameters = {f"D.{name}": p for name, p in D.named_parameters()}
    # Spectral norms and G's BatchNorm move in G's phase alone: rows may not differ by who else came, nor leave a trace.
    D.eval()
    step.G.eval()
    totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
    terms, clipped = next(D.parameters()).new_zeros(2), next(D.parameters()).new_zeros(())
    if len(step.batch.images):
        detached = {name: p.detach() for name, p in parameters.items()}
        totals, terms, clipped = clipped_sum(_row_loss(step), detached, _of_rows(step, privacy, labels), privacy.clip)
    D.train()
    step.G.train()
    values = torch.cat([terms.float(), clipped[None].float()])
    comm.sum_([*totals.values(), values])
    add_noise_(totals, privacy.noise * privacy.clip, step.batch.seed, "privacy", step.number, phase)
    torch._foreach_div_(list(totals.values()), privacy.batch)
    step_down(optimizer, list(parameters.values()), list(totals.values()), clip_norm)
    adversarial, head, clipped_rows = values.unbind()
    of_head = {"head": head / privacy.labeled} if privacy.labeled and labels else {}
    return {"d": adversarial / privacy.batch, **of_head, "clipped": clipped_rows / privacy.batch}


class _Judge(nn.Module):
    """Judge one real image and its partner, of whatever parameters are put in place of D's."""

    def __init__(self, D: Discriminator) -> None:
        super().__init__()
        self.D = D

    def forward(self, seen: tuple[Tensor, ...], y: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [2] and the real image's class logits [1, K]."""
        features = self.D.features_of(seen)
        return self.D.logits(features, y), self.D.classify(features[:1])


def _row_loss(step: Step) -> RowLoss:
    """Return D's loss of one row, with its adversarial term and its cross-entropy where it is labeled."""
    judge, loss = _Judge(step.D), step.objective.adversarial.discriminator

    def of_row(
        parameters: dict[str, Tensor], y: Tensor, target: Tensor, weight: Tensor, known: Tensor, *seen: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits, class_logits = functional_call(judge, parameters, (seen, y))
        adversarial = loss(logits[:1], logits[1:])
        head = cross_entropy(class_logits, target[None])[0]
        return adversarial + weight * head, torch.stack([adversarial, known * head]).detach()

    return of_row


def _of_rows(step: Step, privacy: Privacy, labels: bool) -> list[Tensor]:
    """Return what each row brings, [n, ...] each: classes of both images, what the head is to say of the real one and
    how much that weighs, whether it is labeled, and what D sees of both."""
    own, batch, classes = step.objective.own, step.batch, step.classes
    n, labeled = len(batch.images), len(batch.labels)
    with torch.no_grad():
        views = Views.of(step, step.generate())
    confidence, guessed = classes.y_real.max(1)
    target = one_hot(guessed, classes.y_real.shape[1])
    known = (torch.arange(n, device=target.device) < labeled).float()
    expected = privacy.labeled if labels else 0
    sure = (confidence >= own.pseudo_label_threshold).float()
    guess = own.pseudo_label_weight * privacy.batch / max(1, privacy.batch - expected)
    weight = known * own.head_weight * privacy.batch / max(1, expected) + (1 - known) * sure * guess
    both = [torch.stack([r, f], 1).float() for r, f in zip(views.real_seen, views.fake_seen, strict=True)]
    return [torch.stack(step.judged, 1), target, weight, known, *both]


def _public(batch: Batch, total: int, labels: bool, comm: Communicator) -> Batch:
    """Return a batch for G of `total` rows over all ranks, in which nothing is of the pool but image shapes."""
    positions = part(total, comm.rank, comm.size)
    mine, device = torch.from_numpy(positions), batch.images.device
    source = streams.stream(batch.seed, "private generator", batch.step)
    latents = streams.normal((total, batch.latents.shape[1]), batch.seed, "private latents", batch.step)[mine]
    uniforms = torch.from_numpy(source.random((total, 1 + batch.augment_fake.shape[1]), dtype="float32"))[mine]
    drawn = carried(uniforms, device)
    return replace(
        batch,
        images=batch.images.new_zeros(len(mine), *batch.images.shape[1:]),
        labels=batch.labels[:0],
        latents=carried(latents, device),
        class_uniforms=drawn[:, 0],
        augment_real=drawn[:, 1:],
        augment_fake=drawn[:, 1:],
        total=total,
        labeled_total=int(labels),
        positions=mine,
        ready={},
        recent={},
    )


def _even(batch: Batch, classes: int) -> Conditions:
    """Return classes drawn evenly."""
    labels = (batch.class_uniforms * classes).long().clamp_max(classes - 1)
    y = one_hot(labels, classes)
    return Conditions(y, y, labels, y[:0])

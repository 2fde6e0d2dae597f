"""Several discriminators for one generator: GMAN, Durugkar, Gemp & Mahadevan 2017.

Each D learns by itself, from first weights of its own. G steps down the softmax-weighted mean of its losses by all of
them, F_soft(V) = sum_i w_i V_i, w = softmax(lambda V) (their section 3.2): lambda 0 is the mean, a large one the loss
by the D that is hardest on G. The weights are held fixed when G learns. What scores the pool, gives soft predictions,
and chooses latents is the first D.
"""

from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from distal import streams
from distal.communicator import Communicator
from distal.config import Config, GanConfig, ModelSection, Weight
from distal.errors import ConfigError
from distal.losses import REGULARIZERS
from distal.models.gan import GAN
from distal.models.gan.conditions import condition
from distal.models.gan.step import Step, Views, discriminator_losses, generator_losses
from distal.models.protocol import Bare
from distal.nets import Discriminator, build_discriminator
from distal.nets.held import learns_
from distal.train.batch import Batch
from distal.train.descent import Losses, descend
from distal.train.optimizers import build_optimizer
from distal.train.rows import TrainingRows


class SeveralConfig(GanConfig):
    """The GAN's own, and how many discriminators there are."""

    kind: Literal["gman"] = Field("gman", description="model by name: gan, gman, vae, ...")  # type: ignore[assignment]
    discriminators: int = Field(3, ge=2, le=16, description="discriminators, each of other first weights")
    hardness: Weight = Field(
        1.0,
        description="lambda of the softmax over G's losses by each D: 0 is their mean, a large one the D that is "
        "hardest on G alone",
    )


class Several(GAN):
    """Own one G and several D: the GAN's own and `others`, each with its optimizer."""

    section: ClassVar[type[ModelSection]] = SeveralConfig

    def __init__(
        self, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(config, image_size, channels, classes, device)
        own, train = _section(config), config.train
        self.others: list[Discriminator] = []
        self.other_optimizers: list[torch.optim.Optimizer] = []
        for i in range(1, own.discriminators):
            seed = int(streams.stream(config.seed, "discriminators", i).integers(2**62))
            D = self._placed(build_discriminator(config.net, image_size, channels, classes, seed))
            rate, decay = self.objective.learning_rates[1], (train.momentum, train.weight_decay)
            self.others.append(D)
            self.other_optimizers.append(build_optimizer(train.optimizer, D.parameters(), rate, *decay))

    @classmethod
    def bare(cls, config: Config, image_size: int, channels: int, classes: int) -> Bare:
        """Return G and every D without weights."""
        one = super().bare(config, image_size, channels, classes)
        G, D, *encoder = one.modules
        return Bare([G, *[D] * _section(config).discriminators, *encoder], one.look)

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise ConfigError as a GAN does, and for what knows one D alone."""
        super().check(config)
        own = _section(config)
        one = {
            "model.balance.knob=none": own.balance.knob != "none",
            "model.privacy.noise=null": own.privacy.noise is not None,
            "train.accumulate=1": config.train.accumulate > 1,
        }
        wrong = [mend for mend, is_wrong in one.items() if is_wrong]
        kept = [name for name, weight in own.regularizers.items() if weight != 0 and REGULARIZERS.find(name).state]
        wrong += [f"model.regularizers.{name}=0" for name in kept]
        if wrong:
            key = wrong[0].partition("=")[0]
            raise ConfigError(
                f"model.kind: gman has several discriminators, and {key} is for one.\nSet {' '.join(wrong)}."
            )

    def modules(self) -> dict[str, nn.Module]:
        """Return the networks and their averages by name."""
        return super().modules() | {f"discriminator{i}": D for i, D in enumerate(self.others, start=1)}

    def _optimized(self) -> list[tuple[str, nn.Module, torch.optim.Optimizer]]:
        more = zip(self.others, self.other_optimizers, strict=True)
        return super()._optimized() + [(f"discriminator{i}", D, o) for i, (D, o) in enumerate(more, start=1)]

    def _update(self, batches: list[list[Batch]], rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        rate = self.optimizers[1].param_groups[0]["lr"]
        for optimizer in self.other_optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
        every = [(self.D, self.optimizers[1]), *zip(self.others, self.other_optimizers, strict=True)]
        clip_norm, done = self.config.train.clip_norm, dict[str, Tensor]()
        for batch, *_ in batches:
            classes = condition(self.averaged_D, batch, self.classes, self.objective)
            shared = batch, classes, self.objective, self.step, comm, self.regularizers
            steps = [Step(self.G, D, *shared) for D, _ in every]
            made = steps[0].generate()
            views = [Views.of(step, made) for step in steps]
            said = [
                descend(D, optimizer, [partial(discriminator_losses, step, view)], comm, clip_norm)
                for (D, optimizer), step, view in zip(every, steps, views, strict=True)
            ]
            done |= {name: torch.stack([terms[name] for terms in said]).mean(0) for name in said[0]}
        for D, _ in every:
            learns_(D, False)
        done |= descend(self.G, self.optimizers[0], [lambda: self._asked(steps, views)], comm, clip_norm)
        for D, _ in every:
            learns_(D, True)
        return done

    def _asked(self, steps: list[Step], views: list[Views]) -> Losses:
        """Return G's loss, the softmax-weighted mean of its losses by each D, and its terms weighted alike."""
        each = [generator_losses(step, view) for step, view in zip(steps, views, strict=True)]
        values = torch.stack([terms["g"].detach() for _, terms in each])
        steps[0].comm.sum_([values])
        weights = torch.softmax(_section(self.config).hardness * values, 0)
        loss = torch.stack([weight * own for weight, (own, _) in zip(weights, each, strict=True)]).sum()
        terms = {
            name: torch.stack([weight * own[name] for weight, (_, own) in zip(weights, each, strict=True)]).sum()
            for name in each[0][1]
        }
        return loss, terms | {"hardest": weights.max() * steps[0].batch.share}


def _section(config: Config) -> SeveralConfig:
    if not isinstance(config.model, SeveralConfig):
        raise ConfigError(f"model.kind: {config.model.kind} has one discriminator.")
    return config.model

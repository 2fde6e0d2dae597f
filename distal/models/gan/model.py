"""Hold a GAN under training, whole: networks, averages, optimizers and the step, which is the random state."""

import copy
from collections.abc import Mapping
from typing import ClassVar, TypeVar

import torch
from torch import Tensor, nn

from distal.communicator import Communicator
from distal.config import Config, GanConfig, ModelSection
from distal.errors import ConfigError
from distal.losses import ADVERSARIAL, REGULARIZERS
from distal.losses.supervised import one_hot
from distal.models.codes import codes_to_tensors, encode_labeled, restored_codes
from distal.models.gan.balance import Balance, check_balance
from distal.models.gan.facts import facts_of_networks, require_same
from distal.models.gan.objective import Objective, gan_section
from distal.models.gan.private import Privacy, update_privately
from distal.models.gan.unprivate import check_private
from distal.models.gan.update import update
from distal.models.pieces import in_pieces
from distal.models.protocol import Bare
from distal.nets import (
    Discriminator,
    Generator,
    assembled,
    bare_encoder,
    build_discriminator,
    build_encoder,
    build_generator,
    get_network,
)
from distal.nets.batchnorm import mixes_batch
from distal.nets.codes import CodeMixture, placed
from distal.nets.drawing import Drawing, drawing_of
from distal.nets.precision import autocast, resolve
from distal.nets.scorer import PROVIDERS, Scorer
from distal.train.batch import Batch, batch_of
from distal.train.checkpoint import Checkpoint, damaged, facts_of, to_files
from distal.train.descent import set_rate
from distal.train.ema import average_, decay
from distal.train.latents import Feedback, find_selector
from distal.train.optimizers import build_optimizer, state_by_name
from distal.train.rows import TrainingRows

M = TypeVar("M", bound=nn.Module)

NAMES = [
    f"{prefix}{network}" for network in ("generator", "discriminator") for prefix in ("", "averaged_", "optimizer_")
]
BALANCE = "balance"
"""How far D is held back; there is no such file without `model.balance`."""
KEPT = "regularizers"
"""What regularizers keep from step to step; there is no such file where none keeps anything."""


class GAN:
    """Own G, D, their averages, both optimizers, what regularizers keep and the number of steps done.

    Every random number of step t comes from streams named by the seed and t, so this is all there is to save.
    """

    advice = "Halve model.learning_rate_g and model.learning_rate_d, or raise model.regularizers.r1 and r2 tenfold"
    section: ClassVar[type[ModelSection]] = GanConfig
    gives: ClassVar[frozenset[str]] = frozenset(PROVIDERS)

    def __init__(
        self, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> None:
        self.config, self.image_size, self.channels, self.classes = config, image_size, channels, classes
        self.device = torch.device(device)
        network = get_network(config.net.name, image_size)
        self.layout = torch.channels_last if network.convolutional else torch.contiguous_format
        arithmetic = resolve(config.train.precision, self.device, network.convolutional)
        self.objective = Objective.resolve(config, image_size, arithmetic, self.device)
        self.regularizers = {
            name: {key: torch.zeros((), device=self.device) for key in r.state}
            for name, (r, _) in self.objective.regularizers.items()
            if r.state
        }
        own = self.objective.own
        self.balance = Balance.of(config, own.balance, self.objective.adversarial, self.device)
        self.privacy = Privacy.of(config, own.privacy)
        self.step, self.pace = 0, 1.0
        self.codes: CodeMixture | None = None
        shape = (image_size, channels, classes, config.seed)
        self.G = self._placed(build_generator(config.net, *shape))
        self.D = self._placed(build_discriminator(config.net, *shape))
        if self.objective.reconstruction:
            self.G.encoder = self._placed(build_encoder(self.D, *shape, config.net.latent_dim))
        if mixes_batch(self.D):
            self.objective.require_no_gradient_of_a_row(config.net.name, self.privacy is not None)
            if config.query.synthesize:
                raise ConfigError(
                    f"query.synthesize: a few answered images pass D by themselves, and net.name={config.net.name} has "
                    "a BatchNorm in it.\nSet query.synthesize=0, or take another network."
                )
        self.averaged_G: Generator = copy.deepcopy(self.G).requires_grad_(False).eval()
        self.averaged_D: Discriminator = copy.deepcopy(self.D).requires_grad_(False).eval()
        train, (rate_g, rate_d) = config.train, self.objective.learning_rates
        decay = train.momentum, train.weight_decay
        self.optimizers = (
            build_optimizer(train.optimizer, self.G.parameters(), rate_g, *decay),
            build_optimizer(train.optimizer, self.D.parameters(), rate_d, *decay),
        )

    def _placed(self, module: M) -> M:
        return module.to(self.device, memory_format=self.layout)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def create(
        cls, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> "GAN":
        """Start untrained, all weights a function of config.seed. ConfigError for unknown names in config."""
        return cls(config, image_size, channels, classes, device)

    @classmethod
    def bare(cls, config: Config, image_size: int, channels: int, classes: int) -> Bare:
        """Return G, D and the encoder without weights."""
        shape = image_size, channels, classes
        generator, discriminator = assembled(config.net, *shape)
        D, objective = discriminator(), Objective.resolve(config, image_size, "fp32", torch.device("meta"))
        more = [bare_encoder(D, *shape, config.net.latent_dim)] if objective.reconstruction else []
        return Bare([generator(), D, *more], D.features)

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise ConfigError where the configuration names what is not known."""
        own = gan_section(config)
        ADVERSARIAL.find(own.adversarial)
        chosen = find_selector(own.latents, "model.latents")
        if chosen is not None and not chosen.selector.trains:
            raise ConfigError(
                f"model.latents: {chosen.name} chooses the latents of images that are asked for, not a step's.\n"
                "Take drawn or latent_optimization here, and: distal generate --latents " + own.latents
            )
        check_balance(config, own.balance, own.d_steps)
        check_private(config, own)
        for name, weight in own.regularizers.items():
            if REGULARIZERS.find(name).varies and weight != 0 and not config.train.augment:
                raise ConfigError(
                    f"model.regularizers.{name}: compares images with augmented ones, and train.augment is empty.\n"
                    f"Name an augmentation that suits the images, or set model.regularizers.{name}=0."
                )

    def set_pace(self, pace: float) -> None:
        """Make all further steps this multiple of what the configuration asks for."""
        self.pace = pace

    def advance(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        """Make one update of G and D and of their averages; return the losses of the global batch, on the device."""
        train, own = self.config.train, self.objective.own
        balance, d_steps, (rate_g, rate_d) = self.balance, own.d_steps, self.objective.learning_rates
        if balance is not None:
            d_steps, rate_d = balance.steps(d_steps), rate_d * balance.rate
        for optimizer, rate in zip(self.optimizers, (rate_g, rate_d), strict=True):
            set_rate(optimizer, rate * self.pace, self.config, self.step)
        first = self.step * own.d_steps * train.accumulate
        batches = [
            [self._batch(rows, comm, first + phase * train.accumulate + piece) for piece in range(train.accumulate)]
            for phase in range(d_steps)
        ]
        losses = self._update(batches, rows, comm)
        self.step += 1
        if balance is not None:
            losses |= balance.follow(losses, self.step)
        beta = decay(self.step, train.ema_half_life)
        average_(self.averaged_G, self.G, beta)
        average_(self.averaged_D, self.D, beta)
        return losses

    def _update(self, batches: list[list[Batch]], rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        networks, clip_norm = (self.G, self.D, self.averaged_D, self.optimizers), self.config.train.clip_norm
        shared = self.objective, self.step, comm
        if self.privacy is not None:
            return update_privately(*networks, batches, *shared, self.privacy, rows, clip_norm)
        return update(*networks, batches, *shared, self.regularizers, clip_norm, self.balance)

    def _batch(self, rows: TrainingRows, comm: Communicator, number: int) -> Batch:
        chance = self.privacy is not None
        return batch_of(self.config, rows, number, self.objective.augmentations, comm, self.device, self.layout, chance)

    def spent(self) -> dict[str, float] | None:
        """Return what private updates have spent so far, by name; None where they are not private."""
        return None if self.privacy is None else self.privacy.spent()

    def settle(self, rows: TrainingRows, comm: Communicator) -> None:
        """Find where the latents of labeled rows lie now, around which images are drawn."""
        spread, shown = self.objective.own.code_spread, self.objective.shown(self.step)
        encoder, D = self.averaged_G.encoder, self.averaged_D
        if encoder is None or spread is None:
            return

        def encode(images: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad(), autocast(self.objective.arithmetic, self.device):
                told: tuple[Tensor, Tensor] = encoder(D.see(images), images, shown * y)
            return told

        self.codes = encode_labeled(rows, self.classes, self.config.net.latent_dim, spread, encode, comm)

    def feedback(self) -> Feedback:
        """Return the averaged networks, whose word latents are chosen by."""
        return Feedback(self._drawn, self.averaged_D, self.objective.arithmetic, self.objective.adversarial.ratio)

    def conditions(self, labels: Tensor) -> Tensor:
        """Return the classes [n, K] that images of int64 labels [n] are generated and judged under."""
        return self.objective.shown(self.step) * one_hot(labels.to(self.device), self.classes)

    @torch.no_grad()
    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return uint8 images [n, C, H, W] of the averaged G; of a class without a label, too. See `Model`."""

        def draw(z: Tensor, y: Tensor) -> Tensor:
            with autocast(self.objective.arithmetic, self.device):
                return self._drawn(z, self.conditions(y))

        return in_pieces(draw, latents, labels, (self.image_size, self.channels), self.device)

    def _drawn(self, z: Tensor, y: Tensor) -> Tensor:
        images: Tensor = self.averaged_G(placed(self.codes, z, y), y)
        return images

    def drawing(self) -> Drawing:
        """Return what draws the averaged generator's images outside distal."""
        return drawing_of(self.averaged_G, self.objective.shown(self.step), self.codes)

    def scorer(self) -> Scorer:
        """Return a scorer with a copy of the averaged D, which decides by its own hardware what "auto" is."""
        size, channels, classes = self.image_size, self.channels, self.classes
        D = copy.deepcopy(self.averaged_D)
        D.show_classes_(self.objective.shown(self.step))
        return Scorer(D, self.config.net, size, channels, classes, self.config.train.precision, self.device)

    @classmethod
    def read_scorer(cls, data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> Scorer:
        """Rebuild a scorer from its `to_bytes`."""
        return Scorer.from_bytes(data, device, gains)

    def modules(self) -> dict[str, nn.Module]:
        """Return the networks and their averages by name."""
        return {
            "generator": self.G,
            "discriminator": self.D,
            "averaged_generator": self.averaged_G,
            "averaged_discriminator": self.averaged_D,
        }

    def to_files(self) -> dict[str, bytes]:
        """Return the whole state as files by name: safetensors, and manifest.json with the SHA-256 of each."""
        tensors: dict[str, dict[str, Tensor]] = {name: m.state_dict() for name, m in self.modules().items()}
        tensors |= {f"optimizer_{name}": state_by_name(m, optimizer) for name, m, optimizer in self._optimized()}
        tensors |= codes_to_tensors(self.codes)
        if self.regularizers:
            tensors[KEPT] = {f"{r}.{key}": t for r, own in self.regularizers.items() for key, t in own.items()}
        if self.balance is not None:
            tensors[BALANCE] = self.balance.state
        tensors |= {} if self.privacy is None else self.privacy.to_tensors()
        facts = facts_of(self.step, (self.image_size, self.channels, self.classes), self.pace, self.config.net)
        return to_files(tensors, facts | facts_of_networks(self.G, self.D))

    @classmethod
    def from_files(
        cls,
        config: Config,
        files: Mapping[str, bytes],
        device: torch.device | str = "cpu",
        expected: tuple[int, int, int] | None = None,
    ) -> "GAN":
        """Restore `to_files` exactly. RunError where a file is missing or damaged or the networks differ.

        expected: image size, channels and number of classes; with it, nothing of another size is built.
        """
        saved = Checkpoint(files, NAMES, expected)
        saved.require_net(config.net)
        state = cls(config, *saved.shape, device)
        require_same(saved, config, state.G, state.D)
        state.step = saved.manifest["step"]
        state.set_pace(saved.pace)
        for name, module in state.modules().items():
            saved.load_weights(name, module)
        for name, module, optimizer in state._optimized():
            saved.load_optimizer(f"optimizer_{name}", module, optimizer)
        state.codes = restored_codes(saved, config.net.latent_dim, state.device)
        if state.balance is not None and not state.balance.restore(saved.tensors(BALANCE)):
            raise damaged(f"{BALANCE}.safetensors", "its tensors are not those of the balance")
        if state.privacy is not None:
            state.privacy.restore(saved)
        # A run that takes over another's checkpoint may weigh other regularizers: those begin at zero.
        kept = saved.tensors(KEPT)
        for name, own in state.regularizers.items():
            for key, tensor in own.items():
                value = kept.get(f"{name}.{key}", tensor)
                if value.shape != tensor.shape:
                    raise damaged(f"{KEPT}.safetensors", "its tensors are not those of the regularizers")
                tensor.copy_(value)
        return state

    def _optimized(self) -> list[tuple[str, nn.Module, torch.optim.Optimizer]]:
        return [("generator", self.G, self.optimizers[0]), ("discriminator", self.D, self.optimizers[1])]

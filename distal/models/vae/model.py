"""Hold a VAE under training, whole: networks, their average, the optimizer and the step, which is the random state."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from distal.communicator import Communicator
from distal.config import Config, ModelSection
from distal.errors import ConfigError
from distal.losses.supervised import one_hot
from distal.models.codes import codes_to_tensors, encode_labeled, restored_codes
from distal.models.pieces import in_pieces
from distal.models.protocol import Bare
from distal.models.vae.networks import LEAST_NOISE, Nets, Posterior, bare_nets, build_nets
from distal.models.vae.scorer import GIVES, VaeScorer
from distal.models.vae.step import Objective, VaeConfig, losses
from distal.nets.codes import CodeMixture, placed
from distal.nets.drawing import Drawing, drawing_of
from distal.nets.precision import autocast, resolve
from distal.train.augment import AUGMENTATIONS
from distal.train.batch import Batch, batch_of
from distal.train.checkpoint import Checkpoint, facts_of, to_files
from distal.train.descent import Losses, descend, set_rate
from distal.train.ema import average_, decay
from distal.train.optimizers import build_optimizer, state_by_name
from distal.train.rows import TrainingRows

MEASURED = 0.05
"""Share of the last step's error in the noise: that of some twenty steps."""


class VAE:
    """Own the networks, their average, the optimizer and the number of steps done.

    Every random number of step t comes from streams named by the seed and t, so this is all there is to save.
    """

    advice = "Halve model.learning_rate"
    section: ClassVar[type[ModelSection]] = VaeConfig
    gives: ClassVar[frozenset[str]] = GIVES
    scored: ClassVar[type[VaeScorer]] = VaeScorer

    def __init__(
        self, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> None:
        own = _section(config)
        self.config, self.image_size, self.channels, self.classes = config, image_size, channels, classes
        self.device, self.step, self.pace = torch.device(device), 0, 1.0
        self.codes: CodeMixture | None = None
        nets = build_nets(config.net, image_size, channels, classes, config.seed, self.scored.networks)
        self.layout = torch.channels_last if nets.convolutional else torch.contiguous_format
        arithmetic = resolve(config.train.precision, self.device, nets.convolutional)
        augmentations = list(map(AUGMENTATIONS.find, config.train.augment))
        self.objective = Objective(own, augmentations, arithmetic, self.device)
        self.nets: Nets = nets.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self.averaged: Nets = copy.deepcopy(self.nets).requires_grad_(False).eval()
        train, parameters = config.train, self.nets.parameters()
        self.optimizer = build_optimizer(
            train.optimizer, parameters, own.learning_rate, train.momentum, train.weight_decay
        )

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise ConfigError where the section is another model's, or what is asked teaches no VAE."""
        _section(config)
        if config.query.synthesize:
            raise ConfigError(
                "query.synthesize: an image that people refuse teaches a discriminator, and "
                f"model.kind={config.model.kind} has none.\n"
                "Set query.synthesize=0, or model.kind=gan."
            )

    @classmethod
    def create(
        cls, config: Config, image_size: int, channels: int, classes: int, device: torch.device | str = "cpu"
    ) -> "VAE":
        """Start untrained, all weights a function of config.seed. ConfigError for a network that cannot be used."""
        return cls(config, image_size, channels, classes, device)

    @classmethod
    def bare(cls, config: Config, image_size: int, channels: int, classes: int) -> Bare:
        """Return the networks without weights."""
        nets = bare_nets(config.net, image_size, channels, classes, cls.scored.networks)
        return Bare([nets], nets.features)

    def set_pace(self, pace: float) -> None:
        """Make all further steps this multiple of what the configuration asks for."""
        self.pace = pace

    def advance(self, rows: TrainingRows, comm: Communicator) -> dict[str, Tensor]:
        """Make one update of the networks and of their average; return the losses of the global batch."""
        train, nets = self.config.train, self.nets
        set_rate(self.optimizer, self.objective.own.learning_rate * self.pace, self.config, self.step)
        first = self.step * train.accumulate
        batches = [self._batch(rows, comm, first + piece) for piece in range(train.accumulate)]
        pieces = [partial(self._losses, batch) for batch in batches]
        done = descend(nets, self.optimizer, pieces, comm, train.clip_norm)
        # The best sigma^2 is the error itself (Rybkin, Daniilidis, Levine 2021), here that of the last steps.
        self.nets.noise.lerp_(done["pixel_error"].to(self.nets.noise), MEASURED).clamp_min_(LEAST_NOISE)
        self.step += 1
        average_(self.averaged, self.nets, decay(self.step, train.ema_half_life))
        return done

    def _losses(self, batch: Batch) -> Losses:
        return losses(self.nets, batch, self.objective)

    def _batch(self, rows: TrainingRows, comm: Communicator, number: int) -> Batch:
        return batch_of(self.config, rows, number, self.objective.augmentations, comm, self.device, self.layout)

    def settle(self, rows: TrainingRows, comm: Communicator) -> None:
        """Find where the latents of labeled rows lie now, around which images are drawn."""
        if self.objective.own.code_spread is None:
            return

        def encode(images: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad(), autocast(self.objective.arithmetic, self.device):
                posterior = Posterior.of(self.averaged.encoded(self.averaged.features(images), y))
            return posterior.mean, posterior.log_variance

        spread, z = self.objective.own.code_spread, self.config.net.latent_dim
        self.codes = encode_labeled(rows, self.classes, z, spread, encode, comm)

    @torch.no_grad()
    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return uint8 images [n, C, H, W], the means of p(x | y, z), for latents [n, latent_dim] and labels [n]."""

        def draw(z: Tensor, y: Tensor) -> Tensor:
            with autocast(self.objective.arithmetic, self.device):
                classes = one_hot(y.to(self.device), self.classes)
                return self.averaged.decode(placed(self.codes, z, classes), classes)

        return in_pieces(draw, latents, labels, (self.image_size, self.channels), self.device)

    def drawing(self) -> Drawing:
        """Return what draws the averaged decoder's images outside distal."""
        return drawing_of(self.averaged.decoder, codes=self.codes)

    def scorer(self) -> VaeScorer:
        """Return a scorer with a copy of the averaged networks."""
        shape, precision = (self.image_size, self.channels), self.config.train.precision
        return self.scored(copy.deepcopy(self.averaged), self.config.net, *shape, precision, self.device)

    @classmethod
    def read_scorer(cls, data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> VaeScorer:
        """Rebuild a scorer from its `to_bytes`."""
        return cls.scored.from_bytes(data, device, gains)

    def modules(self) -> dict[str, nn.Module]:
        """Return the networks and their average by name."""
        kind = self.scored.kind
        return {kind: self.nets, f"averaged_{kind}": self.averaged}

    def to_files(self) -> dict[str, bytes]:
        """Return the whole state as files by name: safetensors, and manifest.json with the SHA-256 of each."""
        tensors: dict[str, dict[str, Tensor]] = {name: m.state_dict() for name, m in self.modules().items()}
        tensors |= codes_to_tensors(self.codes)
        tensors["optimizer"] = state_by_name(self.nets, self.optimizer)
        shape = (self.image_size, self.channels, self.classes)
        return to_files(tensors, facts_of(self.step, shape, self.pace, self.config.net))

    @classmethod
    def from_files(
        cls,
        config: Config,
        files: Mapping[str, bytes],
        device: torch.device | str = "cpu",
        expected: tuple[int, int, int] | None = None,
    ) -> "VAE":
        """Restore `to_files` exactly. RunError where a file is missing or damaged or the networks differ.

        expected: image size, channels and number of classes; with it, nothing of another size is built.
        """
        kind = cls.scored.kind
        saved = Checkpoint(files, [kind, f"averaged_{kind}", "optimizer"], expected)
        saved.require_net(config.net)
        model = cls(config, *saved.shape, device)
        model.step = saved.manifest["step"]
        model.set_pace(saved.pace)
        for name, module in model.modules().items():
            saved.load_weights(name, module)
        saved.load_optimizer("optimizer", model.nets, model.optimizer)
        model.codes = restored_codes(saved, config.net.latent_dim, model.device)
        return model


def _section(config: Config) -> VaeConfig:
    if not isinstance(config.model, VaeConfig):
        raise ConfigError(f"model.kind: {config.model.kind} is no VAE.")
    return config.model

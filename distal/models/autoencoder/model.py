"""A regularized autoencoder: RAE, Ghosh, Sajjadi, Vergari, Black & Schoelkopf 2020.

The VAE without its noise: the encoder says one latent of an image, which the decoder makes the image of again, and what
is held down is |z|^2 / 2, and the decoder's weights if asked (their equation 11, RAE-L2), for a decoder that may grow
makes up for any latents that shrink. The error of a pixel is weighed by its measured variance, as in the VAE: theirs is
the same loss times 2 sigma^2. Classes, the classifier and unlabeled rows are the VAE's (`vae/step.py`), whose bound has
a point for its posterior here. Nothing makes the latents fill a prior, so what images are drawn from is fitted to them
at the end of each round (`density.py`).
"""

from functools import partial
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from distal import streams
from distal.communicator import Communicator, on_first_rank
from distal.config import Config, ModelSection, Positive, Weight
from distal.errors import ConfigError
from distal.losses.supervised import one_hot
from distal.models.autoencoder.density import fit_density
from distal.models.autoencoder.networks import AutoencoderScorer
from distal.models.codes import chosen, said_of
from distal.models.vae import VAE, VaeConfig
from distal.models.vae.scorer import VaeScorer
from distal.nets.precision import autocast
from distal.train.batch import Batch
from distal.train.descent import Losses
from distal.train.rows import TrainingRows

ROWS = 1024
"""Rows of the pool, labeled or not, that say how latents lie at all: sixteen for each of the usual 64 numbers."""


class AutoencoderConfig(VaeConfig):
    """The VAE's own but for what its latents are held to."""

    kind: Literal["autoencoder"] = Field("autoencoder", description="model by name: gan, vae, autoencoder, ...")  # type: ignore[assignment]
    beta: Weight = Field(
        1.0, description="weight of half the squared length of a latent: above 1 shorter latents and blurrier images"
    )
    decoder_weight: Weight = Field(
        1e-3,
        description="weight of half the squared length of all the decoder's weights (RAE-L2), in nats an image: one "
        "over the number of images is that of a normal distribution of weights; 0: none, and the decoder may grow "
        "as latents shrink",
    )
    code_spread: Positive = Field(
        1.0,
        description="images are drawn around the latents of labeled images of their class, so many times as far as the "
        "spread of these latents and the number of labels say: above 1 more varied, and fewer of their class",
    )


class Autoencoder(VAE):
    """Own the networks, their average, the optimizer, the number of steps done and the density of the latents.

    Before the end of the first round images are drawn from the normal distribution, where latents need not lie.
    """

    section: ClassVar[type[ModelSection]] = AutoencoderConfig
    scored: ClassVar[type[VaeScorer]] = AutoencoderScorer

    @classmethod
    def check(cls, config: Config) -> None:
        """Raise ConfigError where the section is another model's, or what is asked teaches no autoencoder."""
        _section(config)
        super().check(config)

    def _losses(self, batch: Batch) -> Losses:
        loss, terms = super()._losses(batch)
        weight = _section(self.config).decoder_weight
        if weight == 0:
            return loss, terms
        length = torch.stack([p.square().sum() for p in self.nets.decoder.parameters()]).sum()
        terms = {**terms, "decoder": batch.share * 0.5 * length}
        return loss + weight * terms["decoder"] / batch.images[0].numel(), terms

    def settle(self, rows: TrainingRows, comm: Communicator) -> None:
        """Fit the density of the latents as they lie now, from which images are drawn."""
        at, z = chosen(rows, self.classes), self.config.net.latent_dim
        labels = torch.from_numpy(rows.labels[at])
        some = np.unique(rows.drawn(streams.stream(rows.seed, "rows of latents"), ROWS))
        latents = said_of(rows, rows.labeled_ids[at], (z,), partial(self._encode, labels), comm)
        every = said_of(rows, some, (z + self.classes,), partial(self._encode, None), comm)
        spread = _section(self.config).code_spread
        fitted = on_first_rank(comm, lambda: fit_density(latents, labels, every[:, :z], every[:, z:], spread))
        self.codes = fitted.to(self.device)

    @torch.no_grad()
    def _encode(self, labels: Tensor | None, images: Tensor, some: npt.NDArray[np.int64]) -> Tensor:
        """Return the latents of images under their labels; without, under what is believed, and that beside them."""
        with autocast(self.objective.arithmetic, self.device):
            features = self.averaged.features(images)
            if labels is not None:
                return self.averaged.encoded(features, one_hot(labels[some].to(self.device), self.classes))
            believed = self.averaged.classify(features).softmax(1)
            return torch.cat([self.averaged.encoded(features, believed), believed], 1)


def _section(config: Config) -> AutoencoderConfig:
    if not isinstance(config.model, AutoencoderConfig):
        raise ConfigError(f"model.kind: {config.model.kind} is no autoencoder.")
    return config.model

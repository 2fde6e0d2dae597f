"""What learns: models by name behind one protocol, so that rounds, checkpoints and scores know none of them.

gan         gan/         a conditional GAN with a classifier head, semi-supervised
gman        several.py   the same with several discriminators for one generator
vae         vae/         a conditional variational autoencoder with a classifier head, semi-supervised
autoencoder autoencoder/ the same without a prior: deterministic, its latents' density fitted once it is trained
ensemble    ensemble/    several of any of these, by bagging, boosting, seeds or snapshots

A new model is a class that fits `Model`, with one entry in `registry`, or in the entry points `distal.models` of a
package.
"""

from distal.models.autoencoder import Autoencoder
from distal.models.ensemble import Ensemble
from distal.models.gan import GAN
from distal.models.protocol import Bare, Counting, Exportable, Judging, Model, Scorer, Weighable
from distal.models.registry import MODELS, read_scorer
from distal.models.vae import VAE

__all__ = [
    "GAN",
    "MODELS",
    "VAE",
    "Autoencoder",
    "Bare",
    "Counting",
    "Ensemble",
    "Exportable",
    "Judging",
    "Model",
    "Scorer",
    "Weighable",
    "read_scorer",
]

MODELS.add("ensemble", Ensemble)  # here, for it looks into the registry itself

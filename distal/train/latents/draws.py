"""Draw the latents of everything that is generated, each a function of a stream's name and a position in it."""

import numpy as np
import torch
from torch import Tensor

from distal.streams import normal, stream

BLOCK = 256
"""Rows of a block of images that a user asks for; a row's latent does not depend on how many follow it."""


def training_latents(seed: int, step: int, rows: int, latent_dim: int) -> Tensor:
    """Return the latents of a step's global batch, float32 [rows, latent_dim]."""
    return normal((rows, latent_dim), seed, "latents", step)


def evaluation_latents(batch: int, rows: int, latent_dim: int) -> Tensor:
    """Return those of batch number `batch` of the scored images: the same in every run, so that runs are compared in
    pairs."""
    return normal((rows, latent_dim), 0, "evaluation", batch)


def sample_latents(rows: int, latent_dim: int) -> Tensor:
    """Return those of the grid of samples: the same in every round, so that one sees an image grow."""
    return normal((rows, latent_dim), 0, "samples")


def asked_latents(seed: int, block: int, latent_dim: int) -> Tensor:
    """Return those of block number `block` of the images that a user asks for, float32 [BLOCK, latent_dim]."""
    return normal((BLOCK, latent_dim), seed, "generate", block)


def asked_uniforms(seed: int, block: int, name: str, draws: int) -> Tensor:
    """Return the uniforms that a selector draws for this block under a name, float32 [BLOCK, draws] in [0, 1)."""
    drawn = stream(seed, "generate", "selector", name, block).random((BLOCK, draws), dtype=np.float32)
    return torch.from_numpy(drawn)

"""Draw the latents of everything that is generated, each a function of a stream's name and a position in it.

A selector of latents, a function from (G, D, n) to latents, would have its place here: all four uses ask here.
"""

from torch import Tensor

from distal.streams import normal

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

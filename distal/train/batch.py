"""Draw everything random of one step, from streams named by the step, and keep this rank's slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from distal import streams
from distal.communicator import Communicator
from distal.config import Config
from distal.nets.scorer import to_unit
from distal.train.augment import Augmentation, draws
from distal.train.latents import training_latents
from distal.train.rows import TrainingRows
from distal.train.synthesized import SynthesizedBatch


@dataclass(frozen=True)
class Batch:
    """Hold one rank's rows of a step's global batch of `total` rows, `labeled_total` of them labeled.

    images: float32 [n, C, H, W] in [-1, 1]; the first len(labels) are labeled. labels: int64 [l]. latents: float32
    [n, z]. class_uniforms: float32 [n], which turn soft predictions into classes to generate. augment_real and
    augment_fake: float32 [n, draws]. seed, step: name its streams. positions: int64 [n], its rows in the global batch.
    synthesized: images beside these that the run drew itself; None, on every rank, where there are none.
    """

    images: Tensor
    labels: Tensor
    latents: Tensor
    class_uniforms: Tensor
    augment_real: Tensor
    augment_fake: Tensor
    total: int
    labeled_total: int
    seed: int
    step: int
    positions: Tensor
    synthesized: SynthesizedBatch | None = None

    @property
    def share(self) -> float:
        """Return this rank's share of the global batch: what its means weigh in the sum over ranks."""
        return len(self.images) / self.total

    def uniforms(self, name: str, draws: int) -> Tensor:
        """Draw uniforms for the regularizer of this name, float32 [n, draws] in [0, 1)."""
        drawn = streams.stream(self.seed, "regularizer", name, self.step).random((self.total, draws), dtype=np.float32)
        return torch.from_numpy(drawn)[self.positions].to(self.images.device)


def draw_batch(
    rows: TrainingRows,
    step: int,
    total: int,
    labeled_fraction: float,
    latent_dim: int,
    augment_draws: int,
    rank: int,
    size: int,
    device: torch.device,
    layout: torch.memory_format,
    full_labels: bool = False,
    synthesize: float = 0.0,
    chance: bool = False,
) -> Batch:
    """Draw step's global batch of `total` rows and return the slice of this rank of `size`.

    full_labels: as many labeled rows as there are labels take the place of the batch's share of labeled rows.
    synthesize: answered images that the run drew itself, beside the batch, for each labeled row: 1 at least, if any.
    chance: see `TrainingRows.slice`; the batch then has other numbers of rows at each step, which may be none.

    Latents, uniforms and row ids are drawn for the whole batch on every rank, which costs microseconds and makes them
    independent of the number of ranks; pixels are read for the slice alone.
    """
    labeled = round(labeled_fraction * total)
    if full_labels and len(rows.labels):
        total, labeled = total - labeled + len(rows.labels), len(rows.labels)
    drawn = rows.slice(step, total, labeled, rank, size, chance)
    total = drawn.total
    mine = torch.from_numpy(drawn.positions)
    uniforms = streams.stream(rows.seed, "uniforms", step).random((total, 1 + 2 * augment_draws), dtype=np.float32)
    chosen = torch.from_numpy(uniforms[drawn.positions]).to(device)
    own = None
    if rows.synthesized is not None and labeled:
        more = max(1, round(synthesize * labeled))
        own = rows.synthesized.draw(rows.seed, step, more, augment_draws, total, drawn.positions, device)
    images = to_unit(torch.from_numpy(np.ascontiguousarray(drawn.pixels())).to(device))
    return Batch(
        images=images.contiguous(memory_format=layout),
        labels=torch.from_numpy(drawn.labels).to(device),
        latents=training_latents(rows.seed, step, total, latent_dim)[mine].to(device),
        class_uniforms=chosen[:, 0],
        augment_real=chosen[:, 1 : 1 + augment_draws],
        augment_fake=chosen[:, 1 + augment_draws :],
        total=total,
        labeled_total=drawn.labeled_total,
        seed=rows.seed,
        step=step,
        positions=mine,
        synthesized=own,
    )


def batch_of(
    config: Config,
    rows: TrainingRows,
    number: int,
    augmentations: Sequence[Augmentation],
    comm: Communicator,
    device: torch.device,
    layout: torch.memory_format,
    chance: bool = False,
) -> Batch:
    """Return this rank's rows of batch `number` of all that a run of this configuration draws in training.

    chance: see `TrainingRows.slice`.
    """
    train = config.train
    return draw_batch(
        rows,
        number,
        train.global_batch,
        train.labeled_fraction,
        config.net.latent_dim,
        draws(augmentations),
        comm.rank,
        comm.size,
        device,
        layout,
        train.full_labels,
        config.query.synthesize,
        chance,
    )

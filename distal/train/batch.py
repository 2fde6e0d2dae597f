"""Draw everything random of one step, from streams named by the step, and keep this rank's slice."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from distal import streams
from distal.communicator import Communicator
from distal.config import Config
from distal.nets.scorer import to_unit
from distal.train.augment import Augmentation, draws
from distal.train.carrying import carried, carrier
from distal.train.latents import training_latents
from distal.train.rows import TrainingRows
from distal.train.synthesized import SynthesizedBatch

Asked = tuple[str, int]
"""Uniforms by the name of who asks for them, and how many a row."""

RECENT = 4
"""Batches for which uniforms that were asked for once are drawn ahead: some are asked for every few updates alone."""

OWN = ("synthesized images", "synthesized labels", "synthesized partners", "synthesized augment")


@dataclass(frozen=True)
class Batch:
    """Hold one rank's rows of a step's global batch of `total` rows, `labeled_total` of them labeled.

    images: float32 [n, C, H, W] in [-1, 1]; the first len(labels) are labeled. labels: int64 [l]. latents: float32
    [n, z]. class_uniforms: float32 [n], which turn soft predictions into classes to generate. augment_real and
    augment_fake: float32 [n, draws]. seed, step: name its streams. positions: int64 [n], its rows in the global batch.
    synthesized: images beside these that the run drew itself; None, on every rank, where there are none. ready:
    `uniforms` that were drawn ahead. recent: at which step each was asked for last.
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
    ready: Mapping[Asked, Tensor] = field(default_factory=dict)
    recent: dict[Asked, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Return this rank's share of the global batch: what its means weigh in the sum over ranks."""
        return len(self.images) / self.total

    def uniforms(self, name: str, draws: int) -> Tensor:
        """Return uniforms for the regularizer of this name, float32 [n, draws] in [0, 1); nobody may change them."""
        self.recent[name, draws] = self.step
        drawn = self.ready.get((name, draws))
        if drawn is not None:
            return drawn
        return carried(_uniforms(self.seed, self.step, (name, draws), self.total)[self.positions], self.images.device)


def _uniforms(seed: int, step: int, asked: Asked, total: int) -> Tensor:
    name, draws = asked
    source = streams.stream(seed, "regularizer", name, step)
    return torch.from_numpy(source.random((total, draws), dtype=np.float32))


@dataclass(frozen=True)
class Drawn:
    """Hold on the host what a batch is made of: tensors by name or by what was asked for, numbers as in `Batch`."""

    tensors: dict[str | Asked, Tensor]
    total: int
    labeled_total: int
    seed: int
    step: int
    positions: Tensor

    def batch(self, there: Mapping[Hashable, Tensor], layout: torch.memory_format, recent: dict[Asked, int]) -> Batch:
        """Make the batch of these tensors where they are needed. recent: notes what it is asked for."""
        images, uniforms = to_unit(there["pixels"]), there["uniforms"]
        draws = (uniforms.shape[1] - 1) // 2
        own = [there[name] for name in OWN if name in there]
        return Batch(
            images=images.contiguous(memory_format=layout),
            labels=there["labels"],
            latents=there["latents"],
            class_uniforms=uniforms[:, 0],
            augment_real=uniforms[:, 1 : 1 + draws],
            augment_fake=uniforms[:, 1 + draws :],
            total=self.total,
            labeled_total=self.labeled_total,
            seed=self.seed,
            step=self.step,
            positions=self.positions,
            synthesized=SynthesizedBatch(*own) if own else None,
            ready={name: tensor for name, tensor in there.items() if isinstance(name, tuple)},
            recent=recent,
        )


def goes_ahead(device: torch.device) -> bool:
    """Say whether batches are made and carried ahead of need: there is a GPU to work meanwhile."""
    return device.type == "cuda"


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
    independent of the number of ranks; pixels are read for the slice alone. For a GPU that is done, and carried there,
    BATCHES_AHEAD batches ahead; no number depends on when it is drawn.
    """
    labeled = round(labeled_fraction * total)
    if full_labels and len(rows.labels):
        total, labeled = total - labeled + len(rows.labels), len(rows.labels)
    drawing = total, labeled, latent_dim, augment_draws, rank, size, synthesize, chance
    if not goes_ahead(device):
        drawn = _draw(rows, step, *drawing)
        return drawn.batch({name: t.to(device) for name, t in drawn.tensors.items()}, layout, {})

    def send(number: int) -> tuple[Drawn, Callable[[], dict[Hashable, Tensor]]]:
        asked = [name for name, last in list(rows.recent.items()) if number - last <= RECENT]
        drawn = _draw(rows, number, *drawing, asked=asked)
        return drawn, carrier(device).send(drawn.tensors)

    sent: tuple[Drawn, Callable[[], dict[Hashable, Tensor]]] = rows.ahead.take((device, *drawing), step, send)
    drawn, receive = sent
    return drawn.batch(receive(), layout, rows.recent)


def _draw(
    rows: TrainingRows,
    step: int,
    total: int,
    labeled: int,
    latent_dim: int,
    augment_draws: int,
    rank: int,
    size: int,
    synthesize: float,
    chance: bool,
    asked: Sequence[Asked] = (),
) -> Drawn:
    """Draw a batch on the host. asked: uniforms that a batch will be asked for, to be drawn beside its own."""
    mine = rows.slice(step, total, labeled, rank, size, chance)
    total, seed, positions = mine.total, rows.seed, torch.from_numpy(mine.positions)
    uniforms = streams.stream(seed, "uniforms", step).random((total, 1 + 2 * augment_draws), dtype=np.float32)
    tensors: dict[str | Asked, Tensor] = {
        "uniforms": torch.from_numpy(uniforms[mine.positions]),
        "labels": torch.from_numpy(mine.labels),
        "latents": training_latents(seed, step, total, latent_dim)[positions],
    }
    tensors |= {each: _uniforms(seed, step, each, total)[positions] for each in asked}
    if rows.synthesized is not None and labeled:
        more = max(1, round(synthesize * labeled))
        cpu = torch.device("cpu")
        own = rows.synthesized.draw(seed, step, more, augment_draws, total, mine.positions, cpu)
        tensors |= {name: getattr(own, name.removeprefix("synthesized ")) for name in OWN}
    tensors["pixels"] = torch.from_numpy(np.ascontiguousarray(mine.pixels()))
    return Drawn(tensors, total, mine.labeled_total, seed, step, positions)


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

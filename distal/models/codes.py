"""Ask a trained encoder for the latents of labeled images, around which a model then draws."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.losses.supervised import one_hot
from distal.nets.codes import CodeMixture
from distal.nets.scorer import to_unit
from distal.streams import row_uniforms
from distal.train.checkpoint import Checkpoint, damaged
from distal.train.rows import TrainingRows, part

PER_CLASS = 64
"""Labeled images of a class, at most."""

IN_ALL = 4096
"""Of all classes, so that a thousand of them cost no more time at the end of a round; at least one of each."""

ENCODED = 64
"""Images at a time."""

FILE = "codes"
"""Of a checkpoint."""

Encode = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From images float32 [n, C, H, W] in [-1, 1] and classes [n, K] to means and logarithms of variances, [n, z] each."""


def encode_labeled(
    rows: TrainingRows, classes: int, latent_dim: int, spread: float, encode: Encode, comm: Communicator
) -> CodeMixture | None:
    """Return the mixture of what an encoder says of labeled rows, the same on every rank; None where no row is labeled.

    Of a class with more labels than are taken a hash of the row id chooses. Every rank encodes a part of the rows.

    Args:
        spread: what the encoder's deviations are multiplied by.
    """
    at = chosen(rows, classes)
    if not len(at):
        return None
    labels = torch.from_numpy(rows.labels[at])

    def say(images: Tensor, some: npt.NDArray[np.int64]) -> Tensor:
        mean, log_variance = encode(images, one_hot(labels[some].to(comm.device), classes))
        return torch.stack([mean, spread * (0.5 * log_variance).exp()], 1)

    told = said_of(rows, rows.labeled_ids[at], (2, latent_dim), say, comm)
    count = torch.bincount(labels, minlength=classes)
    return CodeMixture(told[:, 0].contiguous(), told[:, 1].contiguous(), count).to(comm.device)


def said_of(
    rows: TrainingRows,
    row_ids: npt.NDArray[np.int64],
    numbers: tuple[int, ...],
    say: Callable[[Tensor, npt.NDArray[np.int64]], Tensor],
    comm: Communicator,
) -> Tensor:
    """Return what an encoder says of n rows, float32 [n, *numbers], the same on every rank, each of which asks a part.

    say: from images float32 [m, C, H, W] in [-1, 1], and which of the n they are, to [m, *numbers].
    """
    told = torch.zeros(len(row_ids), *numbers, device=comm.device)
    mine = part(len(row_ids), comm.rank, comm.size)
    for start in range(0, len(mine), ENCODED):
        some = mine[start : start + ENCODED]
        pixels = torch.from_numpy(np.array(rows.images.pixels(row_ids[some])))
        told[some] = say(to_unit(pixels.to(comm.device)), some)
    comm.sum_([told])
    return told


def chosen(rows: TrainingRows, classes: int) -> npt.NDArray[np.int64]:
    """Return which labeled rows are encoded, as places in `rows.labels`, in the order of their classes."""
    each = max(1, min(PER_CLASS, IN_ALL // classes))
    order = np.lexsort((row_uniforms(rows.labeled_ids, rows.seed, "codes"), rows.labels))
    labels = rows.labels[order]
    first = np.searchsorted(labels, labels)
    return order[np.arange(len(order)) - first < each].astype(np.int64)


def codes_to_tensors(codes: CodeMixture | None) -> dict[str, dict[str, Tensor]]:
    """Return what a checkpoint keeps of them, a file that is not there where there are none."""
    if codes is None:
        return {}
    tensors = {"mean": codes.mean, "deviation": codes.deviation, "count": codes.count}
    return {FILE: tensors if codes.axes is None else tensors | {"axes": codes.axes}}


def restored_codes(saved: Checkpoint, latent_dim: int, device: torch.device) -> CodeMixture | None:
    """Return the mixture that a checkpoint kept, None where it kept none. RunError where it does not fit the model."""
    tensors = saved.tensors(FILE)
    if not tensors:
        return None
    mean, deviation, count = (tensors.get(name, torch.zeros(0)) for name in ("mean", "deviation", "count"))
    shaped = count.dtype == torch.int64 and count.shape == (saved.shape[2],) and int(count.min()) >= 0
    axes = tensors.get("axes")
    shaped = shaped and (axes is None or axes.shape == (latent_dim, latent_dim))
    if not shaped or not mean.shape == deviation.shape == (int(count.sum()), latent_dim) or not len(mean):
        raise damaged(f"{FILE}.safetensors", "its tensors are no latents of labeled images")
    return CodeMixture(mean, deviation, count, axes).to(device)

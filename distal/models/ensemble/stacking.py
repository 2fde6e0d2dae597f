"""Weigh the members of an ensemble by a logistic combiner, fitted to labeled rows that no member was shown as labeled.

Stacking (Wolpert 1992; with class probabilities, Ting & Witten 1999): the members' log probabilities are the inputs of
a multinomial logistic model, here with one weight a member for all classes, p_k ~ exp(sum_m w_m log p_mk), for
held-out labels are few. It is also the weighted logarithmic opinion pool.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal import streams
from distal.train.rows import TrainingRows

HELD_OUT = 5
"""One labeled row of so many of its class is held out of the members' training; of a smaller class, none."""

MOST = 512
"""Held-out rows that are looked at, at most: there are few weights to fit."""

PULL = 1.0
"""Weight of half the squared distance of the weights from 1 / M, in rows: with few rows they stay near a mean."""

STEPS = 50
LEAST = 1e-6
"""Of a probability, before its logarithm is taken."""


def held_out(rows: TrainingRows, seed: int) -> npt.NDArray[np.bool_]:
    """Return which labeled rows, in the order of `rows.labels`, are the combiner's: a function of seed and ids.

    A row stays what it is as labels come, or the combiner would judge members by what they have learned. But a class of
    fewer than HELD_OUT labels keeps them all.
    """
    chosen = np.zeros(len(rows.labels), np.bool_)
    order = streams.row_uniforms(rows.labeled_ids, seed, "stacking")
    for label in np.unique(rows.labels):
        own = np.flatnonzero(rows.labels == label)
        chosen[own] = (order[own] < 1 / HELD_OUT) & (len(own) >= HELD_OUT)
    return chosen


def learned_from(rows: TrainingRows, seed: int) -> TrainingRows:
    """Return the rows that the members learn from: the labels that are held out are never drawn."""
    return rows.reweighted(rows.seed, (~held_out(rows, seed)).astype(np.float64), rows.candidates)


def to_fit(rows: TrainingRows, seed: int) -> tuple[Tensor, Tensor] | None:
    """Return the held-out images, uint8 [n, C, H, W], and their labels, int64 [n], MOST at most; None without any."""
    mine = np.flatnonzero(held_out(rows, seed))
    if not len(mine):
        return None
    mine = mine[np.linspace(0, len(mine) - 1, min(MOST, len(mine))).astype(np.int64)]
    pixels = np.ascontiguousarray(rows.images.pixels(rows.labeled_ids[mine]))
    return torch.from_numpy(pixels), torch.from_numpy(rows.labels[mine])


def combined(committee: Tensor, weights: Tensor) -> Tensor:
    """Return class probabilities [n, K] of the members' [n, M, K] under weights [M]."""
    logs = committee.clamp_min(LEAST).log()
    return torch.einsum("m,nmk->nk", weights.to(logs), logs).softmax(1)


def fit_weights(committee: Tensor, labels: Tensor) -> Tensor:
    """Return the weights of members, float64 [M], that make labels [n] the likeliest, kept near 1 / M.

    committee: class probabilities float [n, M, K]. Minimises sum_i -log p_i(y_i) + PULL / 2 |w - 1 / M|^2, which is
    convex, by Newton's method with halved steps.
    """
    logs = committee.double().clamp_min(LEAST).log()
    rows, members, _ = logs.shape
    prior = torch.full((members,), 1.0 / members, dtype=torch.float64)
    w, of_label = prior.clone(), logs[torch.arange(rows), :, labels]

    def loss(w: Tensor) -> float:
        likelihood = torch.einsum("m,nmk->nk", w, logs).log_softmax(1)[torch.arange(rows), labels]
        return float(-likelihood.sum() + 0.5 * PULL * (w - prior).square().sum())

    for _ in range(STEPS):
        p = torch.einsum("m,nmk->nk", w, logs).softmax(1)
        mean = torch.einsum("nk,nmk->nm", p, logs)
        gradient = (mean - of_label).sum(0) + PULL * (w - prior)
        second = torch.einsum("nk,nmk,nlk->ml", p, logs, logs) - mean.T @ mean + PULL * torch.eye(members).double()
        step = torch.linalg.solve(second, gradient)
        size = 1.0
        while loss(w - size * step) > loss(w) and size > 1e-6:
            size *= 0.5
        w = w - size * step
        if float(step.abs().max()) < 1e-9:
            break
    return w

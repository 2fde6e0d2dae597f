"""Sum gradients of rows of which none may be longer than a bound, and add noise: DP-SGD (Abadi et al. 2016, alg. 1)."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from distal import streams
from distal.train.carrying import carried

HELD = 2**26
"""Values of gradients that are held at a time, 256 MiB: rows are taken in groups of as many as that allows."""

Parameters = Mapping[str, Tensor]

RowLoss = Callable[..., tuple[Tensor, Tensor]]
"""From parameters by name, and what belongs to one row, to its loss and to terms [t] that are of interest."""


def clipped_sum(
    loss: RowLoss, parameters: Parameters, inputs: Sequence[Tensor], bound: float
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return the sum over rows of gradients made no longer than `bound`, by parameter, laid out as it is.

    loss: differentiable by `torch.func`: it may change nothing in place. inputs: [n, ...] each. Also returned: the sum
    of the terms [t], and how many rows were clipped, float32 scalar. A row's length is that over all parameters.
    """
    rows = len(inputs[0])
    held = max(1, HELD // max(1, sum(p.numel() for p in parameters.values())))
    of_rows = torch.func.vmap(torch.func.grad(loss, has_aux=True), in_dims=(None, *(0 for _ in inputs)))
    totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
    terms: list[Tensor] = []
    clipped = inputs[0].new_zeros((), dtype=torch.float32)
    for start in range(0, rows, held):
        gradients, said = of_rows(dict(parameters), *(each[start : start + held] for each in inputs))
        squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients.values()])
        lengths = squares.sum(0).sqrt()
        factors = (bound / lengths.clamp_min(1e-12)).clamp_max(1.0)
        for name, gradient in gradients.items():
            totals[name].add_(torch.tensordot(factors, gradient, dims=1))
        terms.append(said.sum(0))
        clipped += (factors < 1).sum()
    return totals, torch.stack(terms).sum(0), clipped


def add_noise_(totals: Mapping[str, Tensor], deviation: float, seed: int, *name: streams.Name) -> None:
    """Add normal noise of this deviation to each tensor, in place, from the stream of this name and the tensor's."""
    for key, total in totals.items():
        noise = carried(streams.normal(tuple(total.shape), seed, *name, key), total.device)
        total.add_(noise, alpha=deviation)

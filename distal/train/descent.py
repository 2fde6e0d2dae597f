"""Step down a loss of the global batch: backward, one exchange, a bound on the gradient, the optimizer."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from distal.communicator import Communicator
from distal.config import Config
from distal.nets import uncompiled
from distal.train.schedules import rate_factor

Losses = tuple[Tensor, Mapping[str, Tensor]]
"""This rank's share of a loss, with its terms, unweighted, by name."""


def descend(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    pieces: Sequence[Callable[[], Losses]],
    comm: Communicator,
    clip_norm: float | None = None,
) -> dict[str, Tensor]:
    """Step down the mean of the pieces' losses over the global batch; return their terms, summed over ranks.

    Each piece is made and differentiated before the next, so that one graph at a time is held. One flat exchange
    carries the gradients and the terms. A parameter that no term touched has gradient zero on every rank, so that all
    ranks exchange the same tensors. clip_norm: the gradient of the global batch is made no longer than this.
    """
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, Tensor] = {}
    for piece in pieces:
        loss, terms = piece()
        (loss if len(pieces) == 1 else loss / len(pieces)).backward()  # type: ignore[no-untyped-call]
        sums = {name: t.detach() + sums[name] if name in sums else t.detach() for name, t in terms.items()}
    parameters = list(module.parameters())
    for p in parameters:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    totals = torch.stack(list(sums.values())) / len(pieces)
    comm.sum_([*(p.grad for p in parameters if p.grad is not None), totals])
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    uncompiled.step(optimizer)
    return dict(zip(sums, totals.unbind(), strict=True))


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float, config: Config, step: int) -> None:
    """Let an optimizer step at the configured rate times what the schedule says of update `step` (from 0)."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * rate_factor(config, step)

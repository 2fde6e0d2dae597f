"""Step down a loss of the global batch: gradients, one exchange, a bound on the gradient, the optimizer."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from distal.communicator import Communicator
from distal.config import Config
from distal.nets import uncompiled
from distal.nets.held import parameters_of
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

    Each piece is made and differentiated before the next, so that one graph at a time is held, and by the module's
    parameters alone: whatever else a loss reaches is left as it is. One flat exchange carries the gradients and the
    terms. A parameter that no term touched has gradient zero on every rank, so that all exchange the same tensors.
    clip_norm: the gradient of the global batch is made no longer than this.
    """
    parameters = [p for p in parameters_of(module) if p.requires_grad]
    names, totals, gradients = _differentiated(pieces[0], parameters)
    for piece in pieces[1:]:
        _, terms, more = _differentiated(piece, parameters)
        torch._foreach_add_([totals, *gradients], [terms, *more])
    if len(pieces) > 1:
        torch._foreach_div_([totals, *gradients], len(pieces))
    comm.sum_([*gradients, totals])
    step_down(optimizer, parameters, gradients, clip_norm)
    return dict(zip(names, totals.unbind(), strict=True))


def step_down(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    gradients: Sequence[Tensor],
    clip_norm: float | None = None,
) -> None:
    """Let the optimizer step by these gradients, laid out as their parameters, made no longer than clip_norm."""
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad = gradient
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(parameters, clip_norm)
    uncompiled.step(optimizer)
    for p in parameters:
        p.grad = None


def _differentiated(
    piece: Callable[[], Losses], parameters: Sequence[nn.Parameter]
) -> tuple[list[str], Tensor, list[Tensor]]:
    """Return the names of a piece's terms, their values as a vector, and the gradient by each parameter, laid out as
    it is: a fused optimizer walks memory, not indices."""
    loss, terms = piece()
    # `backward()` would spend up to three more operations on each parameter, to add to what is not there.
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    with torch.no_grad():
        values = torch.stack(list(terms.values()))
        gradients = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
        first = {g.data_ptr(): i for i, g in reversed(list(enumerate(gradients)))}
        # Two parameters that are added have one gradient between them, which must not be scaled twice.
        copied = [
            i
            for i, (g, p) in enumerate(zip(gradients, parameters, strict=True))
            if g.stride() != p.stride() or first[g.data_ptr()] != i
        ]
        if copied:
            own = [torch.empty_like(parameters[i]) for i in copied]
            torch._foreach_copy_(own, [gradients[i] for i in copied])
            for i, gradient in zip(copied, own, strict=True):
                gradients[i] = gradient
    return list(terms), values, gradients


def set_rate(optimizer: torch.optim.Optimizer, learning_rate: float, config: Config, step: int) -> None:
    """Let an optimizer step at the configured rate times what the schedule says of update `step` (from 0)."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * rate_factor(config, step)

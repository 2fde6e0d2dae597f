"""Make one update: D as often as is wanted, each time on a batch of its own, then G, over the pieces of a batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.models.gan.balance import Balance
from distal.models.gan.conditions import condition
from distal.models.gan.objective import Objective
from distal.models.gan.step import Step, Views, discriminator_losses, generator_losses
from distal.nets import Discriminator, Generator
from distal.nets.held import learns_
from distal.train.batch import Batch
from distal.train.descent import Losses, descend


def update(
    G: Generator,
    D: Discriminator,
    averaged_D: Discriminator,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    batches: Sequence[Sequence[Batch]],
    objective: Objective,
    number: int,
    comm: Communicator,
    state: Mapping[str, Mapping[str, Tensor]],
    clip_norm: float | None = None,
    balance: Balance | None = None,
) -> dict[str, Tensor]:
    """Make update `number` (from 0): D's phases, then G's on the last's batch; return the terms by name.

    batches: for each of D's phases the pieces of its batch, whose gradients are averaged. With one piece G runs once:
    D's phase sees its images without their graph, G's phase uses the graph. With more each phase makes its own, so that
    one graph at a time is held.
    """

    def begin(batch: Batch) -> Step:
        classes = condition(averaged_D, batch, G.classes, objective)
        return Step(G, D, batch, classes, objective, number, comm, state, balance)

    def judged(step: Step) -> Losses:
        with torch.no_grad():
            views = Views.of(step, step.generate())
        return discriminator_losses(step, views)

    def asked(step: Step) -> Losses:
        step = replace(step)  # what the other phase knew of it has no graph
        return generator_losses(step, Views.of(step, step.generate()))

    done: dict[str, Tensor] = {}
    for phase, pieces in enumerate(batches, start=1):
        steps = [begin(batch) for batch in pieces]
        if phase == len(batches) and len(steps) == 1:
            views = Views.of(steps[0], steps[0].generate())
            of_d: list[Callable[[], Losses]] = [partial(discriminator_losses, steps[0], views)]
            of_g: list[Callable[[], Losses]] = [partial(generator_losses, steps[0], views)]
        else:
            of_d, of_g = [partial(judged, each) for each in steps], [partial(asked, each) for each in steps]
        done |= descend(D, optimizers[1], of_d, comm, clip_norm)
    learns_(D, False)  # then its layers keep no inputs either
    done |= descend(G, optimizers[0], of_g, comm, clip_norm)
    learns_(D, True)
    return done

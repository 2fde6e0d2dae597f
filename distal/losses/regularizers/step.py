"""Show a regularizer the whole step: networks, images, features, logits, latents, random numbers, saved state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from distal.communicator import Communicator, summed
from distal.nets import Discriminator, Generator
from distal.nets.precision import autocast

REACH = 0.1
"""Sigma of `squared_slopes`: a value's step, of the 2 between black and white.

In bfloat16 logits are known to 1/256, so that the penalty of a D at 32 px came out 47 times too large with a step of
0.003 and 6 times with 0.01; in float32 any step from 0.003 to 0.3 gave it right (`docs/training.md`).
"""


class Augment(Protocol):
    """Augment as the step does."""

    def as_seen(self, images: Tensor) -> Tensor:
        """Augment generated images [n, C, H, W], row by row by the same numbers as the step's own."""

    def again(self, images: Tensor, name: str) -> Tensor:
        """Augment real and generated images [2 n, C, H, W] by numbers of their own."""


@dataclass(eq=False)
class StepTensors:
    """Hold what one phase of a step computed on this rank, n rows of a global batch of `total`.

    player: whose phase it is. images: float [2 n, C, H, W], what D saw: n real images, then n generated ones. In D's
    phase they require a gradient when a regularizer `by_images` is due; in G's phase the graph of the generated half
    reaches G. features: float [2 n, F]. logits:
    float32 [2 n]. y: float [2 n, K], the classes that each row was judged under. latents: float32 [n, z], of the
    generated ones. state: by regularizer, its tensors by name, changed in place and saved with the checkpoint. draw:
    see `uniforms`. augment: see `as_seen` and `varied`.
    """

    player: Literal["G", "D"]
    G: Generator
    D: Discriminator
    images: Tensor
    features: Tensor
    logits: Tensor
    y: Tensor
    latents: Tensor
    total: int
    comm: Communicator
    arithmetic: str
    state: Mapping[str, Mapping[str, Tensor]]
    draw: Callable[[str, int], Tensor]
    augment: Augment

    @property
    def learner(self) -> nn.Module:
        """Return the network whose phase it is."""
        return self.G if self.player == "G" else self.D

    @property
    def rows(self) -> int:
        """Return n."""
        return len(self.images) // 2

    @cached_property
    def class_logits(self) -> Tensor:
        """Return the head's logits, float [2 n, K]."""
        with autocast(self.arithmetic, self.images.device):
            return self.D.classify(self.features)

    def judge(self, images: Tensor, y: Tensor) -> Tensor:
        """Return D's logits float32 [n] for other images [n, C, H, W] under classes y [n, K]."""
        with autocast(self.arithmetic, images.device):
            return self.D.logits(self.D.features(images), y).float()

    def uniforms(self, name: str, draws: int) -> Tensor:
        """Return uniforms in [0, 1), float32 [n, draws], from the stream of this regularizer's name and step.

        Row i of the global batch has its own, whatever the number of ranks.
        """
        return self.draw(name, draws)

    def normals(self, name: str, draws: int) -> Tensor:
        """Return standard normal numbers, float32 [n, draws], all finite, from the same stream as `uniforms`."""
        numbers: Tensor = torch.special.ndtri(self.draw(name, draws).double() * (1 - 2**-24) + 2**-25).float()
        return numbers

    def generate(self, latents: Tensor) -> Tensor:
        """Return other generated images [n, C, H, W] of the step's classes, augmented as the step's own were."""
        with autocast(self.arithmetic, latents.device):
            images = self.G(latents, self.y[self.rows :]).float()
        return self.augment.as_seen(images)

    def varied(self, name: str) -> Tensor:
        """Return what D saw augmented once more, [2 n, C, H, W] without a graph, by the uniforms of this name."""
        return self.augment.again(self.images.detach(), name)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of [n, ...] over the rows of the global batch, [...], the same on every rank.

        Its gradient reaches the rows of every rank. Every rank must ask, in the same order.
        """
        return summed(values.sum(0), self.comm) / self.total

    @cached_property
    def squared_gradients(self) -> Tensor:
        """Return |grad_x D(x, y)|^2 of each row, float32 [2 n], differentiable.

        One backward pass serves R1 and R2: row i of the sum of logits depends on row i of the images alone, because no
        layer mixes a batch.
        """
        return squared_gradients(self.logits, self.images)

    @cached_property
    def squared_slopes(self) -> Tensor:
        """Return ((D(x + sigma e, y) - D(x, y)) / sigma)^2 of each row, float32 [2 n], e a sign for each value of x.

        One pass of D serves `r1_fd` and `r2_fd`. Its mean over e is |grad_x D(x, y)|^2 + O(sigma^2).
        """
        x = self.images.detach()
        u = torch.cat(self.uniforms("signs", 2 * x[0].numel()).chunk(2, 1)).view(x.shape)
        steps = torch.where(u < 0.5, -REACH, REACH).to(x)
        return ((self.judge(x + steps, self.y) - self.logits) / REACH).square()


def squared_gradients(logits: Tensor, images: Tensor) -> Tensor:
    """Return the squared norm of the gradient of each row's logit [n] by its image [n, C, H, W], float32 [n]."""
    (gradient,) = torch.autograd.grad(logits, images, torch.ones_like(logits), create_graph=True)
    return gradient.float().square().flatten(1).sum(1)

"""Show a regularizer the whole step: networks, images, features, logits, latents, random numbers, saved state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from distal.communicator import Communicator, summed
from distal.nets import Discriminator, Generator
from distal.nets.precision import autocast


@dataclass(eq=False)
class StepTensors:
    """Hold what one phase of a step computed on this rank, n rows of a global batch of `total`.

    images: float [2 n, C, H, W], what D saw: n real images, then n generated ones. In D's phase they require a gradient
    when a regularizer is due; in G's phase the graph of the generated half reaches G. features: float [2 n, F]. logits:
    float32 [2 n]. y: float [2 n, K], the classes that each row was judged under. latents: float32 [n, z], of the
    generated ones. state: by regularizer, its tensors by name, changed in place and saved with the checkpoint. draw:
    see `uniforms`.
    """

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


def squared_gradients(logits: Tensor, images: Tensor) -> Tensor:
    """Return the squared norm of the gradient of each row's logit [n] by its image [n, C, H, W], float32 [n]."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().flatten(1).sum(1)

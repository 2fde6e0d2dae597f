"""Regularizers of every kind, which the tests add: over weights, over means of the global batch, through G."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from distal.losses.regularizers import REGULARIZERS, StepTensors, regularizer

ALL = ("r1", "r2", "wgan_gp", "lecam", "orthogonal", "feature_matching", "path_length")


def orthogonal(step: StepTensors) -> Tensor:
    """||W W' - I||^2 of the projection: Brock et al. 2017."""
    weight = step.D.projection.weight
    return (weight.T @ weight - torch.eye(weight.shape[1])).square().sum()


def feature_matching(step: StepTensors) -> Tensor:
    """||E phi(x) - E phi(G(z))||^2: Salimans et al. 2016, section 3.1."""
    n = step.rows
    return (step.mean(step.features[:n].float()) - step.mean(step.features[n:].float())).square().sum()


def path_length(step: StepTensors) -> Tensor:
    """E (|J' noise| - a)^2, a a moving average of the norm: Karras et al. 2020, section 3.2."""
    state = step.state["path_length"]
    z, pixels = step.latents.detach().requires_grad_(), step.images[0].numel()
    images = step.G(z, step.y[step.rows :])
    noise = torch.erfinv(step.uniforms("path_length", pixels) * 1.99 - 0.995).view_as(images)
    (gradient,) = torch.autograd.grad((images * noise).sum(), z, create_graph=True)
    norms = gradient.norm(dim=1)
    with torch.no_grad():
        state["mean"].lerp_(step.mean(norms), 0.01)
    return (norms - state["mean"]).square().mean()


@contextmanager
def added() -> Iterator[None]:
    """Register them for a while."""
    regularizer("orthogonal", player="D", lazy=False, default=0.01, per_pixel=False)(orthogonal)
    regularizer("feature_matching", player="G", lazy=False, default=1.0, per_pixel=False)(feature_matching)
    regularizer("path_length", player="G", lazy=True, default=2.0, per_pixel=False, state=("mean",))(path_length)
    try:
        yield
    finally:
        for name in ("orthogonal", "feature_matching", "path_length"):
            del REGULARIZERS.entries[name]

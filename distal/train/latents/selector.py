"""Register ways to choose latents: functions from latents, classes and a discriminator's word to other latents.

A selector acts row by row: what it makes of a latent depends on that latent, its class, its own random numbers and the
networks. So an image that was asked for does not depend on how many others were, nor a batch on the number of ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from distal.errors import ConfigError
from distal.nets import Discriminator
from distal.nets.precision import autocast
from distal.registry import Registry

Draw = Callable[[str, int], Tensor]
"""From a name and a number of draws to uniforms in [0, 1), float32 [n, draws], each row's own."""

DRAWN = "drawn"


@dataclass(frozen=True)
class Feedback:
    """Hold the networks whose word counts. arithmetic: of `nets.precision`. ratio: see AdversarialLoss.

    G: from latents [n, z] and classes [n, K] to images in [-1, 1].

    Neither changes while latents are chosen, but for what a layer keeps of each pass in training.
    """

    G: Callable[[Tensor, Tensor], Tensor]
    D: Discriminator
    arithmetic: str
    ratio: bool

    def logits(self, z: Tensor, y: Tensor) -> Tensor:
        """Return D's logits float32 [n] for the images of latents [n, z] under classes y [n, K], differentiable."""
        with autocast(self.arithmetic, z.device):
            return self.D.logits(self.D.features(self.G(z, y)), y).float()

    def uphill(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits [n] and the gradient of each by its own latent [n, z], both without a graph."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            logits = self.logits(z, y)
            (gradient,) = torch.autograd.grad(logits.sum(), z)
        return logits.detach(), gradient.float()


@dataclass(frozen=True)
class Selector:
    """Hold a selector and what it declares.

    function: of latents float32 [n, z], classes float [n, K], a feedback, uniforms of its own and its number to latents
    [n, z]. number: what the number means, default: its value where none is given, low, high: its range. trains: it may
    choose a step's latents as well. judged: it asks the feedback. ratio: it takes D's logit for a log density ratio.
    """

    function: Callable[[Tensor, Tensor, Feedback, Draw, float], Tensor]
    number: str
    default: float
    low: float
    high: float
    trains: bool = False
    judged: bool = True
    ratio: bool = False


SELECTORS: Registry[Selector] = Registry(
    "model.latents", "selector of latents", "distal.selectors", kind=Selector, words=(DRAWN,)
)


def selector(
    name: str,
    number: str,
    default: float,
    low: float,
    high: float,
    trains: bool = False,
    judged: bool = True,
    ratio: bool = False,
) -> Callable[
    [Callable[[Tensor, Tensor, Feedback, Draw, float], Tensor]],
    Callable[[Tensor, Tensor, Feedback, Draw, float], Tensor],
]:
    """Register a function under a name, with what `Selector` declares."""

    def register(
        function: Callable[[Tensor, Tensor, Feedback, Draw, float], Tensor],
    ) -> Callable[[Tensor, Tensor, Feedback, Draw, float], Tensor]:
        SELECTORS.add(name, Selector(function, number, default, low, high, trains, judged, ratio), function)
        return function

    return register


@dataclass(frozen=True)
class Chosen:
    """Hold a selector that was named, with its number."""

    name: str
    selector: Selector
    value: float

    def latents(self, z: Tensor, y: Tensor, feedback: Feedback | None, draw: Draw) -> Tensor:
        """Return what it makes of latents [n, z] for classes y [n, K], without a graph.

        feedback: None where there is no discriminator, or none whose logit means what the selector takes it for.

        Raises:
            ConfigError: it asks for what is not there.
        """
        if self.selector.judged and (feedback is None or (self.selector.ratio and not feedback.ratio)):
            raise ConfigError(
                f"{self.name}: needs a discriminator"
                f"{' whose logit is the logarithm of a density ratio' if self.selector.ratio else ''}, and this model "
                "has none.\nTake truncation, or train a gan with model.adversarial=rpgan, non_saturating or minimax."
            )
        with torch.no_grad():  # what is not judged does not look at the feedback
            return self.selector.function(z, y, cast(Feedback, feedback), draw, self.value).to(z)


def find_selector(text: str, key: str) -> Chosen | None:
    """Return the selector that `NAME` or `NAME:NUMBER` names; None for "drawn". key: where that stands.

    Raises:
        ConfigError: no such name, no number, or one that is out of range.
    """
    if text == DRAWN:
        return None
    name, colon, number = text.partition(":")
    found = SELECTORS.find(name, key)
    try:
        value = float(number) if colon else found.default
    except ValueError:
        value = float("nan")
    if not found.low <= value <= found.high:
        raise ConfigError(
            f"{key}: {name} takes {found.number}, {found.low:g} to {found.high:g}; given: '{number[:40]}'.\n"
            f"Write {name}:{found.default:g}, or {name} alone for that value."
        )
    return Chosen(name, found, value)


def normals(uniforms: Tensor) -> Tensor:
    """Return standard normal numbers for uniforms in [0, 1), all finite."""
    numbers: Tensor = torch.special.ndtri(uniforms.double() * (1 - 2**-24) + 2**-25).float()
    return numbers

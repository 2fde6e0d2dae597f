"""Teach a smaller generator to draw what a larger one draws of the same latent and class.

The pairs cost nothing and never end, so that no adversary is needed (Aguinaldo et al. 2019, "Compressing GANs using
knowledge distillation", section 3: the loss of pixels).
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from distal import streams
from distal.communicator import Alone
from distal.config import NetConfig
from distal.models.gan.reconstruction import pixels_apart
from distal.nets import build_generator
from distal.nets.drawing import Drawing
from distal.nets.generator import Generator
from distal.train.descent import Losses, descend
from distal.train.ema import average_, decay
from distal.train.optimizers import build_optimizer

BATCH = 64
RATE = 1e-3
"""Adam's step, which falls to zero along a line."""
HALF_LIFE = 150.0
HEARD = 100
"""Updates between two that are heard of."""


def distilled(
    teacher: Drawing,
    net: NetConfig,
    image_size: int,
    channels: int,
    steps: int,
    seed: int,
    listen: Callable[[int, float], None] = lambda done, loss: None,
) -> Drawing:
    """Return a drawing of a generator of `net` that has learned from `steps` batches of the teacher's images.

    listen: called with updates done and the loss, the mean difference of a pixel in [-1, 1] over four sizes. What is
    returned is the average over updates, as a generator's own is.
    """
    G = build_generator(net, image_size, channels, teacher.generator.classes, seed)
    averaged = copy.deepcopy(G).requires_grad_(False).eval()
    optimizer = build_optimizer("adam", G.parameters(), RATE)
    student, comm = Drawing(G, teacher.shown, teacher.codes), Alone()
    for step in range(steps):
        latents, labels = _asked(teacher.generator, seed, step)
        with torch.no_grad():
            images = teacher.paint(latents, labels)

        def apart(latents: Tensor = latents, labels: Tensor = labels, images: Tensor = images) -> Losses:
            loss = pixels_apart(student.paint(latents, labels), images).mean()
            return loss, {"apart": loss}

        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        loss = descend(G, optimizer, [apart], comm)["apart"]
        average_(averaged, G, decay(step + 1, HALF_LIFE))
        if (step + 1) % HEARD == 0 or step + 1 == steps:
            listen(step + 1, float(loss))
    return Drawing(averaged, teacher.shown, teacher.codes).eval()


def _asked(generator: Generator, seed: int, step: int) -> tuple[Tensor, Tensor]:
    labels = streams.stream(seed, "distilled classes", step).integers(generator.classes, size=BATCH)
    return streams.normal((BATCH, generator.latent_dim), seed, "distilled", step), torch.from_numpy(labels)

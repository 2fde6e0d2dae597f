"""Decide which classes a step's images are judged and generated under."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from distal.losses.supervised import one_hot, sample_classes
from distal.nets import Discriminator
from distal.nets.precision import autocast
from distal.train.batch import Batch

if TYPE_CHECKING:
    from distal.models.gan.step import Objective


@dataclass(frozen=True)
class Conditions:
    """Hold the classes of a step: y_real [n, K] (one-hot or soft), y_fake one-hot [n, K], predicted [u, K] of the
    unlabeled rows."""

    y_real: Tensor
    y_fake: Tensor
    predicted: Tensor


@torch.no_grad()
def condition(averaged: Discriminator, batch: Batch, classes: int, objective: "Objective") -> Conditions:
    """Decide the classes of real rows and of their generated partners."""
    labeled, known = len(batch.labels), one_hot(batch.labels, classes)
    predicted = known[:0]
    if labeled < len(batch.images):
        with autocast(objective.arithmetic, objective.device):
            predicted = averaged.classify(averaged.features(batch.images[labeled:])).float().softmax(1)
    drawn = sample_classes(predicted, batch.class_uniforms[labeled:])
    return Conditions(torch.cat([known, predicted]), torch.cat([known, one_hot(drawn, classes)]), predicted)

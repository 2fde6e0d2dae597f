"""Decide which classes a step's images are judged and generated under."""

from dataclasses import dataclass

import torch
from torch import Tensor

from distal.losses.supervised import one_hot, sample_classes
from distal.models.gan.objective import Objective
from distal.nets import Discriminator
from distal.nets.precision import autocast
from distal.train.batch import Batch


@dataclass(frozen=True)
class Conditions:
    """Hold the classes of a step: y_real [n, K] (one-hot or soft), y_fake one-hot [n, K] and as labels, int64 [n],
    predicted [u, K] of the unlabeled rows."""

    y_real: Tensor
    y_fake: Tensor
    labels_fake: Tensor
    predicted: Tensor


@torch.no_grad()
def condition(averaged: Discriminator, batch: Batch, classes: int, objective: Objective) -> Conditions:
    """Decide the classes of real rows and of their generated partners."""
    labeled = len(batch.labels)
    predicted = torch.zeros(0, classes, device=batch.labels.device)
    if labeled < len(batch.images):
        with autocast(objective.arithmetic, objective.device):
            predicted = averaged.classify(averaged.features(batch.images[labeled:])).float().softmax(1)
    drawn = sample_classes(predicted, batch.class_uniforms[labeled:])
    labels_fake = torch.cat([batch.labels, drawn])
    y_fake = one_hot(labels_fake, classes)
    return Conditions(torch.cat([y_fake[:labeled], predicted]), y_fake, labels_fake, predicted)

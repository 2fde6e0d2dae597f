"""Losses: adversarial pairs over logits, regularizers over a step's tensors, and the classifier head's."""

from distal.losses.adversarial import ADVERSARIAL, AdversarialLoss
from distal.losses.regularizers import REGULARIZERS, Regularizer, StepTensors, get_regularizers, regularizer

__all__ = [
    "ADVERSARIAL",
    "REGULARIZERS",
    "AdversarialLoss",
    "Regularizer",
    "StepTensors",
    "get_regularizers",
    "regularizer",
]

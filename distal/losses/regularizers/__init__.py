"""Regularizers by name, a family a file; what a step shows them, and how one is registered.

r1, r2, wgan_gp    gradients.py    penalties on D's gradient with respect to images
lecam              anchors.py      D's logits held near moving averages of themselves
"""

from distal.losses.regularizers import anchors, gradients
from distal.losses.regularizers.registry import (
    REGULARIZERS,
    Player,
    Regularizer,
    get_regularizers,
    regularizer,
)
from distal.losses.regularizers.step import StepTensors

__all__ = [
    "REGULARIZERS",
    "Player",
    "Regularizer",
    "StepTensors",
    "anchors",
    "get_regularizers",
    "gradients",
    "regularizer",
]

"""Regularizers by name, a family a file; what a step shows them, and how one is registered.

r1, r2, wgan_gp, dragan             gradients.py      penalties on D's gradient with respect to images
r1_fd, r2_fd                        differences.py    the same by finite differences
lecam                               anchors.py        D's logits held near moving averages of themselves
bcr, zcr_d, zcr_g                   consistency.py    alike is judged alike
orthogonal, l1, l2                  weights.py        the weights of whichever network learns
mode_seeking                        diversity.py      images differ as latents do
feature_matching                    moments.py        generated features have the real ones' mean
path_length                         paths.py          a step in the latents is a step of one length in the images
head_entropy, mutual_information    entropy.py        the head is sure, and of different things
"""

from distal.losses.regularizers import (
    anchors,
    consistency,
    differences,
    diversity,
    entropy,
    gradients,
    moments,
    paths,
    weights,
)
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
    "consistency",
    "differences",
    "diversity",
    "entropy",
    "get_regularizers",
    "gradients",
    "moments",
    "paths",
    "regularizer",
    "weights",
]

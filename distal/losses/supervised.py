"""Losses of the classifier head: what few labels, many unlabeled images and the generator's own images can teach it.

Each returns one value a row, float32 [n], or their sum; the step divides by the rows of the global batch, so that
ranks add up.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(class_logits: Tensor, y: Tensor) -> Tensor:
    """- sum_k y_k log p_k for one-hot or soft y [n, K]."""
    return -(y * F.log_softmax(class_logits.float(), 1)).sum(1)


def negative_log_likelihood(class_logits: Tensor, labels: Tensor) -> Tensor:
    """- sum_i log p_i(label_i), a scalar: the sum of `cross_entropy` of one-hot classes, in fewer operations.

    labels: int64 [n].
    """
    return F.cross_entropy(class_logits.float(), labels, reduction="sum")


def pseudo_label(class_logits: Tensor, target: Tensor, threshold: float) -> Tensor:
    """1(max q >= threshold) H(argmax q, p): FixMatch, Sohn et al. 2020, eq. 4.

    class_logits: of the strongly augmented view, [n, K]. target: q, the probabilities of the plain view, [n, K].
    """
    confidence, label = target.max(1)
    loss = F.cross_entropy(class_logits.float(), label, reduction="none")
    return loss * (confidence >= threshold)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Return float32 [n, K] for int64 labels [n]."""
    # torch's own reads the labels back to check them, for which a GPU is waited for.
    return torch.zeros(len(labels), classes, device=labels.device).scatter_(1, labels[:, None], 1.0)


def sample_classes(probs: Tensor, uniforms: Tensor) -> Tensor:
    """Draw a class of each row by the inverse of its distribution function: probs [n, K], uniforms [n], int64 [n]."""
    drawn = (probs.cumsum(1) < uniforms.to(probs)[:, None]).sum(1)
    return torch.clamp(drawn, max=probs.shape[1] - 1)

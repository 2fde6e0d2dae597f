"""Measure whether probabilities mean what they say, and divide logits by the temperature at which they do."""

import torch
from torch import Tensor

BINS = 15
ROWS_OF_A_BIN = 20

COLDEST, HOTTEST = 0.05, 20.0


def expected_calibration_error(probs: Tensor, labels: Tensor, bins: int | None = None) -> float:
    """Return how far the confidence in the likeliest class is from its accuracy, on average, in [0, 1].

    probs [n, K], labels [n]. Bins hold equal numbers of rows, which biases least (Roelofs et al. 2022, "Mitigating bias
    in calibration error estimation"): 15, or fewer so that each has 20 rows, because chance alone gives a bin of n rows
    an error of about 0.4 / sqrt(n).
    """
    if not len(labels):
        return 0.0
    confidence, predicted = probs.double().max(1)
    gaps = (confidence - (predicted == labels).double())[confidence.argsort(stable=True)]
    bins = max(1, min(BINS, len(labels) // ROWS_OF_A_BIN)) if bins is None else bins
    return sum(abs(float(part.sum())) for part in gaps.tensor_split(bins)) / len(labels)


def fit_temperature(logits: Tensor, labels: Tensor, weights: Tensor | None = None, caution: float = 0.0) -> float:
    """Return the T that makes softmax(logits / T) likeliest (Guo et al. 2017, section 4.2), within [0.05, 20].

    logits [n, K], labels [n], weights [n] or all 1. caution: adds caution (1 / T - 1)^2 to the summed log loss, so that
    few rows leave T near 1. The sum is convex in 1 / T: its slope is bisected. 1.0 without rows.
    """
    if not len(labels):
        return 1.0
    logits = logits.double()
    weights = torch.ones(len(labels), dtype=torch.float64) if weights is None else weights.double()
    own = logits.gather(1, labels[:, None])[:, 0]
    low, high = 1.0 / HOTTEST, 1.0 / COLDEST
    for _ in range(50):
        middle = 0.5 * (low + high)
        slope = float(weights @ (((logits * middle).softmax(1) * logits).sum(1) - own))
        slope += 2.0 * caution * (middle - 1.0)
        low, high = (low, middle) if slope > 0.0 else (middle, high)
    return 2.0 / (low + high)

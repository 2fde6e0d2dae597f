"""The metric ``cmmd``: the kernel distance under a wide Gaussian kernel, of features at unit length.

Jayasumana et al. 2024, section 5: k(x, y) = exp(-|x - y|^2 / 2 sigma^2) with sigma = 10, and the distance times 1000.
It is CMMD where the features are CLIP's image embeddings, which are of unit length; features of any other network are
brought to unit length. The unbiased estimate is taken, so that numbers of images do not matter: theirs, which counts
each image with itself as well, is higher by about 10 (1/n + 1/m) at most.
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from distal.metrics.kernel import Estimate, kernel_distance
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score

SIGMA = 10.0
SCALE = 1000.0


def wide_gaussian(x: Tensor, y: Tensor) -> Tensor:
    """Return exp(-|x - y|^2 / 2 sigma^2) - 1 of rows of unit length: a constant changes no MMD, but would round it."""
    return torch.expm1(((x @ y.T).double() - 1) / SIGMA**2)


def cmmd_scores(e: Evaluation) -> list[Score]:
    """Return the distance of at most KERNEL_ROWS images a side."""

    def measure(x: Tensor, y: Tensor) -> Estimate:
        x, y = normalize(x), normalize(y)
        value, error = kernel_distance(x, y, e.comm, kernel=wide_gaussian)
        return Estimate(SCALE * value, None if error is None else SCALE * error)

    return [e.compared(CMMD.score_name(e.extractor.name), measure)]


CMMD = Metric("cmmd", "Wide kernel distance", better="lower", function=cmmd_scores, of_features=True)

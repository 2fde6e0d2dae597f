import numpy as np
import pytest
import torch

from distal.communicator import Alone
from distal.metrics.cmmd import SCALE, wide_gaussian
from distal.metrics.kernel import kernel_distance


def embeddings(n: int, seed: int, shift: float) -> np.ndarray:
    x = np.random.default_rng(seed).normal(shift, 1, (n, 16))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_it_is_the_papers_estimate_without_each_image_beside_itself() -> None:
    x, y = embeddings(40, 1, 0.0), embeddings(30, 2, 0.3)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * 10**2))

    theirs = kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()
    with_itself = (1 - kernel(x, x).mean()) / 39 + (1 - kernel(y, y).mean()) / 29
    found = kernel_distance(torch.from_numpy(x), torch.from_numpy(y), Alone(), kernel=wide_gaussian)
    assert SCALE * found.value == pytest.approx(SCALE * (theirs - with_itself), rel=1e-8)

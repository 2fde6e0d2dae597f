"""Hold the images of a benchmark in memory, for `TrainingRows` to draw from."""

from collections.abc import Callable
from functools import partial

import numpy as np


class HeldImages:
    """Be the pool's images, uint8 [N, C, S, S]."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data

    def pixels(self, row_ids: np.ndarray) -> np.ndarray:
        return self.data[row_ids]

    def request(self, row_ids: np.ndarray) -> Callable[[], np.ndarray]:
        return partial(self.pixels, row_ids)

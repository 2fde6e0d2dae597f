"""Images, ranks and generators for the tests of distal.metrics."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from distal.communicator import Alone


class FakeImages:
    """Be an ImageTable over arrays."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray | None = None) -> None:
        self._pixels, self._labels = pixels, labels
        self.fingerprint = hashlib.sha256(pixels.tobytes()).hexdigest()
        self.image_size, self.channels = pixels.shape[2], pixels.shape[1]
        self.has_labels = labels is not None

    def pixels(self, row_ids: np.ndarray) -> np.ndarray:
        return self._pixels[row_ids]

    def request(self, row_ids: np.ndarray) -> Callable[[], np.ndarray]:
        return partial(self.pixels, row_ids)

    def labels(self, row_ids: np.ndarray) -> np.ndarray:
        return self._labels[row_ids]


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's 1,797 scanned digits, uint8 [N, 1, 8, 8], and labels int64 [N]."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return np.rint(x * 255 / 16).astype(np.uint8).reshape(-1, 1, 8, 8), y.astype(np.int64)


class Threads:
    """Be one of several ranks, each in its own thread."""

    def __init__(self, rank: int, size: int, board: list[Any], barrier: threading.Barrier) -> None:
        self.rank, self.size, self.device = rank, size, torch.device("cpu")
        self._board, self._barrier = board, barrier

    def gather(self, value: Any) -> list[Any]:
        self._board[self.rank] = value
        self._barrier.wait()
        values = list(self._board)
        self._barrier.wait()
        return values

    def broadcast(self, value: Any) -> Any:
        return self.gather(value)[0]

    def sum_(self, tensors: Sequence[torch.Tensor]) -> None:
        values = self.gather([t.clone() for t in tensors])
        for i, tensor in enumerate(tensors):
            tensor.copy_(torch.stack([v[i] for v in values]).sum(0))


def on_ranks(size: int, work: Callable[[Any], Any]) -> list[Any]:
    """Run `work(comm)` on every rank, each in a thread, and return the results in rank order."""
    if size == 1:
        return [work(Alone())]
    results: list[Any] = [None] * size
    barrier = threading.Barrier(size, timeout=60)
    board: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(Threads(rank, size, board, barrier))
        except Exception as error:  # noqa: BLE001 - handed to the test
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results

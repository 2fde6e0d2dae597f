"""Hold the reference split: the held-out rows that everything generated is compared with."""

import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.data.protocol import Pixels, Rows
from distal.errors import EvaluationError
from distal.streams import row_uniforms

IntArray = npt.NDArray[np.int64]


class Images(Rows, Protocol):
    """Be what the evaluation reads of an ImageTable."""

    @property
    def fingerprint(self) -> str:
        """Return the hash of the files behind the images."""

    @property
    def image_size(self) -> int:
        """Return the side in pixels."""

    @property
    def channels(self) -> int:
        """Return 1 or 3."""

    @property
    def has_labels(self) -> bool:
        """Tell whether there is a label column."""

    def labels(self, row_ids: IntArray) -> IntArray:
        """Return int64 [n], -1 where missing."""


def at_most(rows: IntArray, limit: int) -> IntArray:
    """Keep `limit` of the ascending row ids, chosen by their hash; all where there are no more."""
    if len(rows) <= limit:
        return rows
    order = np.argsort(row_uniforms(rows, 0, "reference"), kind="stable")
    return np.sort(rows[order[:limit]])


class ReferenceSplit:
    """Hold which rows are the reference, and their labels.

    row_ids: int64 [n] ascending, at most `limit` of those given, chosen by hash of the row id. labels: int64 [n] in
    0..K-1, -1 where missing. class_names: K names, maybe none. pool_rows: gives the pixels instead of images, where
    these are not decoded on every node. key: hash of images, rows and labels.
    """

    def __init__(
        self,
        images: Images,
        row_ids: IntArray,
        class_names: Sequence[str],
        limit: int,
        pool_rows: Rows | None = None,
    ) -> None:
        rows = at_most(np.unique(np.asarray(row_ids, dtype=np.int64)), limit)
        if len(rows) < 2:
            raise EvaluationError(
                f"Evaluation needs at least 2 held-out images; there are {len(rows)}.\n"
                "Give evaluate.path, or raise evaluate.holdout."
            )
        self.images = images
        self.rows: Rows = images if pool_rows is None else pool_rows
        self.row_ids = rows
        self.class_names = tuple(class_names)
        self.labels = np.full(len(rows), -1, np.int64)
        if images.has_labels and class_names:
            self.labels = np.asarray(images.labels(rows), dtype=np.int64)
        if int(self.labels.max()) >= max(1, len(class_names)):
            raise EvaluationError(
                f"Held-out images carry label {int(self.labels.max())}, but there are {len(class_names)} classes.\n"
                "Give all class names in pool.classes, in label order."
            )
        text = f"{images.fingerprint} {images.image_size} {images.channels} {len(class_names)}".encode()
        self.key = hashlib.sha256(text + rows.tobytes() + self.labels.tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.row_ids)

    @property
    def labeled(self) -> bool:
        """Tell whether some rows carry a label."""
        return bool((self.labels >= 0).any())

    def pixels(self, positions: IntArray, device: torch.device) -> Tensor:
        """Return the images at these positions of the split, uint8 [n, C, H, W]."""
        return _tensor(self.rows.pixels(self.row_ids[positions]), device)

    def batches(self, comm: Communicator, size: int) -> Iterator[tuple[IntArray, Tensor]]:
        """Yield this rank's batches (positions, images): every comm.size-th of the batches of `size` positions.

        While one is used the next is on its way.
        """
        starts = range(comm.rank * size, len(self), comm.size * size)
        batches = [np.arange(start, min(start + size, len(self))) for start in starts]
        asked = deque(self.rows.request(self.row_ids[positions]) for positions in batches[:1])
        for done, positions in enumerate(batches, 1):
            asked.extend(self.rows.request(self.row_ids[following]) for following in batches[done : done + 1])
            yield positions, _tensor(asked.popleft()(), comm.device)


def _tensor(pixels: Pixels, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(pixels)).to(device)

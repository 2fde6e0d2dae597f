"""State what an oracle is, and what it may see of the images."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from distal.run.ledger import Answer, Query

RowIds = npt.NDArray[np.int64]


class Oracle(Protocol):
    """Answer queries: at once, in part, or not yet. Asked twice for a row of a round of a run, it asks people once."""

    def submit(self, query: Query) -> None:
        """Put a query to whoever answers. Doing it again changes nothing."""

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield the answers that are there for the rows `pending`, int64 [n].

        The caller records each list durably before it asks for the next. The iterator ends when nothing more is there
        now; rows that it left out stay pending.
        """

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say what a person must do for the rows that are pending."""


class Images(Protocol):
    """What an oracle uses of `distal.data.table.ImageTable`."""

    @property
    def fingerprint(self) -> str:
        """Return what tells this pool from others."""

    @property
    def has_labels(self) -> bool:
        """Return whether the pool has a label column."""

    def labels(self, row_ids: RowIds) -> npt.NDArray[np.int64]:
        """Return hidden labels, int64 [n], -1 where missing."""

    def originals(self, row_ids: RowIds) -> list[tuple[bytes, str]]:
        """Return encoded bytes and path of each row."""

    def pixels(self, row_ids: RowIds) -> npt.NDArray[np.uint8]:
        """Return decoded images, uint8 [n, C, H, W]."""

"""Show a script what is asked of it: the rows that await an answer, with their images."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from distal.oracle.callable import Item
from distal.oracle.originals import original_images
from distal.oracle.protocol import Images, RowIds
from distal.run.ledger import Query


class Asked(Sequence[Item]):
    """Be the rows that await an answer, in the order of asking; an image is read when its item is.

    Attributes:
        round: from 1. row_ids: int64 [n]. scores: float32 [n], of the strategy that chose them. strategy: its name.
        classes: names in label order.
    """

    def __init__(self, query: Query, pending: RowIds, images: Images, classes: Sequence[str], max_pixels: int) -> None:
        here = np.isin(query.row_ids, pending)
        self.round, self.strategy = query.round, query.strategy
        self.row_ids: RowIds = query.row_ids[here]
        self.scores = query.scores[here]
        self.classes = tuple(classes)
        self._images = images
        self._max_pixels = max_pixels

    def __len__(self) -> int:
        return len(self.row_ids)

    def __iter__(self) -> Iterator[Item]:
        return self._items(self.row_ids)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return list(self._items(self.row_ids[index]))
        return next(self._items(self.row_ids[[index]]))

    def __repr__(self) -> str:
        return f"<round {self.round} asks for {len(self)} labels, chosen by {self.strategy}>"

    def _items(self, row_ids: RowIds) -> Iterator[Item]:
        for row_id, image, path in original_images(self._images, row_ids, self._max_pixels):
            yield Item(row_id, image, path, self.round)

"""Simulate an annotator from the pool's hidden label column, with errors and costs."""

import time
from collections.abc import Iterator

import numpy as np

from distal.errors import ConfigError, PoolError
from distal.oracle.classes import Classes
from distal.oracle.protocol import Images, RowIds
from distal.run.ledger import Answer, Query
from distal.streams import row_uniforms


class DatasetOracle:
    """Answer every row at once with its hidden label.

    noise: probability that an answer is another class, uniformly among them; drawn from streams keyed on seed and row
    id, so that a row gets the same answer whenever and however often it is asked. A row without a label is declined.
    Raises ConfigError if the pool has no label column; `collect` raises PoolError for a label outside the classes.
    """

    def __init__(self, images: Images, classes: Classes, noise: float, seed: int) -> None:
        if not images.has_labels:
            raise ConfigError(
                "oracle.kind: 'dataset' answers from a label column, and the pool has none\n"
                "name the column in pool.label_column, or set oracle.kind=files to label by hand"
            )
        self._images = images
        self._classes = classes
        self._noise = noise
        self._seed = seed

    def submit(self, query: Query) -> None:
        """Need no preparation."""

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield one list: an answer for every pending row."""
        if len(pending) == 0:
            return
        labels = self._distort(pending, self._true_labels(pending))
        now = time.time()
        given = [None if label < 0 else int(label) for label in labels]
        yield [
            Answer(int(row_id), label, "dataset", now, self._classes.cost(label))
            for row_id, label in zip(pending, given, strict=True)
        ]

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say that nobody is waited for."""
        return f"{len(pending)} labels come from the pool's label column; run: distal resume"

    def _true_labels(self, row_ids: RowIds) -> RowIds:
        labels = self._images.labels(row_ids)
        outside = np.flatnonzero(labels >= len(self._classes.names))
        if len(outside):
            first = outside[0]
            raise PoolError(
                f"row {row_ids[first]} has label {labels[first]}, outside the {len(self._classes.names)} classes\n"
                f"known: {self._classes.known()}; mend the label column or pool.classes"
            )
        return labels

    def _distort(self, row_ids: RowIds, labels: RowIds) -> RowIds:
        """Replace labels, each with probability `noise`, by one of the other K - 1 classes."""
        count = len(self._classes.names)
        if self._noise == 0.0 or count < 2:
            return labels
        wrong = (row_uniforms(row_ids, self._seed, "oracle", "noise") < self._noise) & (labels >= 0)
        shift = 1 + np.floor(row_uniforms(row_ids, self._seed, "oracle", "class") * (count - 1)).astype(np.int64)
        return np.where(wrong, (labels + shift) % count, labels)

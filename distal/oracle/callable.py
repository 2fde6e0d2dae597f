"""Ask a Python function, in the driver's own process, one row after another."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distal.errors import OracleError
from distal.oracle.classes import Classes, UnreadableLabelError
from distal.oracle.originals import original_images
from distal.oracle.protocol import Images, RowIds
from distal.run.ledger import Answer, Query


@dataclass(frozen=True)
class Item:
    """Show one row to be labeled.

    image: uint8 [H, W] grey or [H, W, 3] colour, in the size in which it was recorded. path: as the pool has it, may be
    empty. round: from 1.
    """

    row_id: int
    image: npt.NDArray[np.uint8]
    path: str
    round: int


LabelFunction = Callable[[Item], int | str | None]
"""Return a class index, a class name, or None to decline the row."""


class CallableOracle:
    """Answer with what a function says; every answer is durable before the function is called again.

    An exception in the function, or a label that is none, ends in OracleError; what was answered before is kept, and a
    later run goes on with the row that failed.
    """

    def __init__(self, function: LabelFunction, images: Images, classes: Classes, max_pixels: int) -> None:
        self._function = function
        self._images = images
        self._classes = classes
        self._max_pixels = max_pixels

    def submit(self, query: Query) -> None:
        """Need no preparation."""

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield one list of one answer for each pending row, in order."""
        kept = len(query.row_ids) - len(pending)
        for row_id, image, path in original_images(self._images, pending, self._max_pixels):
            label = self._ask(Item(row_id, image, path, query.round), kept)
            yield [Answer(row_id, label, "callable", time.time(), self._classes.cost(label))]
            kept += 1

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say how to go on after a stop."""
        return f"waiting for {len(pending)} labels of the function: run() again asks for them"

    def _ask(self, item: Item, kept: int) -> int | None:
        go_on = f"{kept} answers of round {item.round} are kept; mend the function, then run() again (distal resume)"
        try:
            given = self._function(item)
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            raise OracleError(
                f"row {item.row_id}: the label function raised {type(error).__name__}: {reason}\n{go_on}"
            ) from error
        try:
            return None if given is None else self._classes.index(given)
        except UnreadableLabelError as error:
            raise OracleError(
                f"row {item.row_id}: the label function returned {error}\n"
                f"expected: an index, None to decline, or one of {self._classes.known()}\n{go_on}"
            ) from None

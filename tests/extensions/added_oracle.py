"""An oracle that a package could add, with a section of its own: it knows some classes, and calls others the last."""

import time
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from distal.config import OracleSection
from distal.oracle import OracleRequest
from distal.run.ledger import Answer, Query


class BeginnerConfig(OracleSection):
    """Who answers: somebody who began yesterday."""

    kind: Literal["beginner"] = Field("beginner", description="oracle by name")
    knows: int = Field(2, ge=1, description="classes that the beginner can tell apart")


class Beginner:
    """Answer every row at once."""

    section: ClassVar[type[OracleSection]] = BeginnerConfig

    def __init__(self, setting: OracleRequest) -> None:
        assert isinstance(setting.config.oracle, BeginnerConfig)
        self.last = setting.config.oracle.knows - 1
        self.images, self.classes = setting.images, setting.classes

    def submit(self, query: Query) -> None:
        """Need no preparation."""

    def collect(self, query: Query, pending: npt.NDArray[np.int64]) -> Iterator[list[Answer]]:
        """Yield one list: an answer for every pending row."""
        labels = np.minimum(self.images.labels(pending), self.last).tolist()
        rows = zip(pending.tolist(), labels, strict=True)
        yield [Answer(row, label, "beginner", time.time(), self.classes.cost(label)) for row, label in rows]

    def waiting(self, query: Query, pending: npt.NDArray[np.int64]) -> str:
        """Say that nobody is waited for."""
        return "the beginner answers at once"

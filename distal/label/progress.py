"""Count how far a batch and a run are, answer by answer, so that no count takes longer as the queue grows."""

from collections import Counter, deque
from collections.abc import Sequence
from statistics import median

from distal.oracle.classes import Classes
from distal.run.journal import Decision

RECENT = 50
"""Decisions of a person that the time of one is the median of."""


class Progress:
    """Count answers.

    Attributes:
        by_class: answers that count by class index; None: of no class, or not to be told.
        total, done: rows of the batch, and of these the answered ones.
        cost: of all answers of the run.
    """

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._counted: dict[int, tuple[int | None, float]] = {}
        self._batch: set[int] = set()
        self._seconds: dict[str, deque[float]] = {}
        self._decisions: Counter[str] = Counter()
        self._images: Counter[str] = Counter()
        self.by_class: Counter[int | None] = Counter()
        self.total = self.done = 0
        self.cost = 0.0

    @property
    def answered(self) -> int:
        """Return the answered rows of the run."""
        return len(self._counted)

    def open(self, rows: Sequence[int]) -> None:
        """Begin with another batch."""
        self._batch = set(rows)
        self.total, self.done = len(rows), len(self._batch & self._counted.keys())

    def count(self, row_id: int, label: int | None, cost: float) -> None:
        """Count a row as answered so."""
        self.uncount(row_id)
        self._counted[row_id] = label, cost
        self.by_class[label] += 1
        self.cost += cost
        self.done += row_id in self._batch

    def uncount(self, row_id: int) -> None:
        """Count a row as not answered."""
        before = self._counted.pop(row_id, None)
        if before is not None:
            self.by_class[before[0]] -= 1
            self.cost -= before[1]
            self.done -= row_id in self._batch

    def decided(self, decision: Decision) -> None:
        """Note how long a decision took; one that takes another back is none."""
        if decision.undoes is None:
            self._seconds.setdefault(decision.person, deque(maxlen=RECENT)).append(decision.seconds)
            self._decisions[decision.person] += 1
            self._images[decision.person] += len(decision.row_ids)

    def of_person(self, person: str) -> dict[str, float]:
        """Return how many decisions a person made in this run, about how many images, and the usual seconds of one."""
        seconds = self._seconds.get(person)
        return {
            "decisions": self._decisions[person],
            "images": self._images[person],
            "seconds": median(seconds) if seconds else 0.0,
        }

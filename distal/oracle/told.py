"""Take answers that somebody brings: a script by `learner.answer()`, or a file by `distal import-labels`."""

import numbers
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from distal.errors import OracleError
from distal.oracle.classes import Classes, UnreadableLabelError, shown
from distal.oracle.protocol import RowIds
from distal.run.ledger import Answer, Ledger, Query


class ToldOracle:
    """Ask nobody: answers come by themselves, into the ledger, and the rounds go on once all are there."""

    def __init__(self, uri: str) -> None:
        self._uri = uri

    def submit(self, query: Query) -> None:
        """Need no preparation: the query is on the disk."""

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield nothing."""
        return iter(())

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say both ways to answer."""
        labels = f"waiting for {len(pending)} label" + ("" if len(pending) == 1 else "s")
        return (
            f"{labels}: from Python, learner.query() and learner.answer(); or distal export-tasks {self._uri}, "
            f"distal import-labels, then distal resume {self._uri}"
        )


@dataclass(frozen=True)
class Told:
    """Hold one answer as it was brought.

    where: begins a message about it, such as "line 3"; may be empty. label: a class name, a class index, or None where
    the row is declined. time: unix seconds.
    """

    where: str
    row_id: object
    label: object
    annotator: str
    time: float


@dataclass(frozen=True)
class Taken:
    """Say what of the answers can be taken: by round; how many stand in the ledger already; a line about each other."""

    answers: dict[int, list[Answer]]
    known: int
    refused: list[str]

    @property
    def count(self) -> int:
        """Return how many answers are new."""
        return sum(len(answers) for answers in self.answers.values())


def take(ledger: Ledger, classes: Classes, told: Sequence[Told]) -> Taken:
    """Sort answers by the round that asks for their row, without keeping them.

    Refused are: what is no row id or no label, a row that no round asks for, and a second, other label of a row, be the
    first one in the ledger or here.
    """
    rounds = ledger.rounds_of_rows()
    standing = {answer.row_id: answer for round in set(rounds.values()) for answer in ledger.answers(round)}
    taken = Taken({}, 0, [])
    known = 0
    for one in told:
        try:
            answer = _answer(one, rounds, classes)
            before = standing.setdefault(answer.row_id, answer)
            if before is answer:
                taken.answers.setdefault(rounds[answer.row_id], []).append(answer)
            elif before.label == answer.label:
                known += 1
            else:
                first = "declined" if before.label is None else repr(classes.names[before.label])
                raise UnreadableLabelError(f"it has another answer, by {before.annotator}, which stays: {first}")
        except UnreadableLabelError as error:
            taken.refused.append(f"{one.where}{': ' if one.where else ''}row {shown(one.row_id)}: {error}")
    return Taken(taken.answers, known, taken.refused)


def tell(ledger: Ledger, classes: Classes, row_ids: Sequence[object], labels: Sequence[object], annotator: str) -> None:
    """Keep one label a row, given now: all of them, or none.

    Raises:
        OracleError: not one label a row, or some that are refused.
    """
    if len(row_ids) != len(labels):
        raise OracleError(f"answer: {len(row_ids)} rows and {len(labels)} labels.\nGive one label a row.")
    now = time.time()
    told = [Told("", row_id, label, annotator, now) for row_id, label in zip(row_ids, labels, strict=True)]
    taken = take(ledger, classes, told)
    if taken.refused:
        more = f" (and {len(taken.refused) - 1} more)" if len(taken.refused) > 1 else ""
        raise OracleError(
            f"answer: {taken.refused[0]}{more}\nNone of these answers is kept. Known classes: {classes.known()}."
        )
    for round, answers in taken.answers.items():
        ledger.record(round, answers)


def _answer(told: Told, rounds: dict[int, int], classes: Classes) -> Answer:
    """Return the answer. Raises UnreadableLabelError."""
    row_id = told.row_id
    if isinstance(row_id, bool) or not (isinstance(row_id, numbers.Real) and float(row_id).is_integer()):
        raise UnreadableLabelError("this is no row id")
    if int(row_id) not in rounds:
        raise UnreadableLabelError("no round has asked for it")
    label = None if told.label is None else classes.index(told.label)
    return Answer(int(row_id), label, told.annotator, told.time, classes.cost(label))

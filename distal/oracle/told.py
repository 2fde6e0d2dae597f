"""Take answers that somebody brings: a script by `learner.answer()`, or a file by `distal import-labels`."""

import numbers
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from distal.errors import ConfigError, OracleError
from distal.oracle.classes import Classes, UnreadableLabelError, shown
from distal.oracle.protocol import RowIds
from distal.oracle.sheet import SKIP
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


def require_people(kind: str) -> None:
    """Refuse to ask a script where `oracle.kind` answers by itself. Raises ConfigError."""
    if kind in ("dataset", "callable"):
        raise ConfigError(
            f"query: oracle.kind={kind} answers by itself, so nobody is asked.\n"
            "Set oracle.kind=told to ask and tell from Python, or call run()."
        )


@dataclass(frozen=True)
class Told:
    """Hold one answer as it was brought.

    where: begins a message about it, such as "line 3"; may be empty. label: a class name, a class index, None where the
    row is declined, or SKIP where no class is called so. time: unix seconds.
    """

    where: str
    row_id: object
    label: object
    annotator: str
    time: float


@dataclass(frozen=True)
class Taken:
    """Say what of the answers can be taken.

    answers: the new ones by round. known: rows whose answer stands in the ledger already. refused: a line about others.
    """

    answers: dict[int, list[Answer]] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return how many answers are new."""
        return sum(len(answers) for answers in self.answers.values())


def take(ledger: Ledger, classes: Classes, told: Sequence[Told]) -> Taken:
    """Sort answers by the round that asks for their row, without keeping them.

    Refused are: what is no row id or no label, a row that no round asks for, another label than a row has in the
    ledger, and all labels of a row that differ here.
    """
    rounds = ledger.rounds_of_rows()
    standing = {answer.row_id: answer for answer in ledger.corrected()}
    refused: list[str] = []
    read: dict[int, list[tuple[str, Answer]]] = {}
    for one in told:
        where = f"{one.where}: " if one.where else ""
        try:
            answer = _answer(one, rounds, classes)
        except UnreadableLabelError as error:
            refused.append(f"{where}row {shown(one.row_id)}: {error}")
            continue
        read.setdefault(answer.row_id, []).append((where, answer))
    taken = Taken(refused=refused)
    for row_id, several in read.items():
        named = [_named(answer, classes) for _, answer in several]
        if len(set(named)) > 1:
            refused.append(f"{several[-1][0]}row {row_id}: it has different labels, {', '.join(named)}; none is taken")
        elif row_id not in standing:
            taken.answers.setdefault(rounds[row_id], []).append(several[0][1])
        elif _named(standing[row_id], classes) != named[0]:
            first = f"{_named(standing[row_id], classes)} by {standing[row_id].annotator}"
            refused.append(f"{several[0][0]}row {row_id}: {named[0]} is refused, for it was answered before: {first}")
        else:
            taken.known.add(row_id)
    return taken


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
    given = told.row_id
    if isinstance(given, bool) or not (isinstance(given, numbers.Real) and float(given).is_integer()):
        raise UnreadableLabelError("this is no row id")
    row_id = int(float(given))
    if row_id not in rounds:
        raise UnreadableLabelError("no round has asked for it")
    try:
        label = None if told.label is None else classes.index(told.label)
    except UnreadableLabelError:
        if not (isinstance(told.label, str) and told.label.strip().casefold() == SKIP):
            raise
        label = None
    return Answer(row_id, label, told.annotator, told.time, classes.cost(label))


def _named(answer: Answer, classes: Classes) -> str:
    return "declined" if answer.label is None else repr(classes.names[answer.label])

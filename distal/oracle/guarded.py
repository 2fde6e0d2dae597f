"""Ask an oracle object that a script gave: what it does wrong is refused by its name, before anything of it is kept."""

import numbers
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from distal.errors import ConfigError, DistalError, OracleError
from distal.oracle.classes import shown
from distal.oracle.protocol import Oracle, RowIds
from distal.run.ledger import Answer, Query

METHODS = ("submit", "collect", "waiting")
GO_ON = "mend it, then run() again (distal resume); all answers before are kept"
END: Any = object()
T = TypeVar("T")


class GuardedOracle:
    """Be an oracle around a script's own.

    Raises:
        ConfigError: the object lacks a method. Every method, OracleError: the object's own code failed, or yielded
            what is no list of answers.
    """

    def __init__(self, oracle: Any) -> None:
        missing = [name for name in METHODS if not callable(getattr(oracle, name, None))]
        self._name = type(oracle).__name__
        if missing:
            raise ConfigError(
                f"oracle: {self._name} has no {', '.join(f'{name}()' for name in missing)}.\n"
                "Give a function from an item to a label, or an object with submit, collect and waiting."
            )
        self._oracle: Oracle = oracle

    def submit(self, query: Query) -> None:
        """Put a query to it."""
        self._guarded("submit", lambda: self._oracle.submit(query))

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield its answers, each list looked at."""
        answers = self._guarded("collect", lambda: iter(self._oracle.collect(query, pending)))
        while (batch := self._guarded("collect", lambda: next(answers, END))) is not END:
            yield self._checked(batch)

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say what it says must be done."""
        return self._guarded("waiting", lambda: self._oracle.waiting(query, pending))

    def _guarded(self, method: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except DistalError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:160]
            raise OracleError(
                f"oracle: {self._name}.{method}() raised {type(error).__name__}: {reason}\n{GO_ON}"
            ) from error

    def _checked(self, batch: Any) -> list[Answer]:
        if not isinstance(batch, list | tuple):
            raise self._wrong(batch)
        for answer in batch:
            if not (isinstance(answer, Answer) and _is_whole(answer.row_id) and isinstance(answer.annotator, str)):
                raise self._wrong(answer)
            if not (answer.label is None or _is_whole(answer.label)):
                raise self._wrong(answer)
            if not (isinstance(answer.time, numbers.Real) and isinstance(answer.cost, numbers.Real)):
                raise self._wrong(answer)
        return list(batch)

    def _wrong(self, given: object) -> OracleError:
        return OracleError(
            f"oracle: {self._name}.collect() yielded {shown(given)}\n"
            "expected: lists of distal.Answer(row_id, label, annotator, time), label a class index or None to decline\n"
            f"{GO_ON}"
        )


def guarded(given: Callable[..., Any] | Oracle | None) -> Callable[..., Any] | GuardedOracle | None:
    """Return what a script gave as its oracle: a function or None as they are, an object guarded."""
    if given is None or (callable(given) and not hasattr(given, "collect")):
        return given
    return GuardedOracle(given)


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)

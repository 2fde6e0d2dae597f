"""An oracle object of a script's own: what it does wrong is told by its name."""

from typing import Any

import numpy as np
import pytest

from distal.errors import ConfigError, OracleError
from distal.oracle.guarded import GuardedOracle, guarded
from distal.run.ledger import Answer, Query

QUERY = Query(1, np.array([3, 4]), np.zeros(2, np.float32), "random")
GOOD = Answer(3, 1, "me", 0.0)


class Yielding:
    """Yield what it was made with."""

    def __init__(self, *batches: Any) -> None:
        self.batches = batches

    def submit(self, query: Query) -> None:
        assert query is QUERY

    def collect(self, query: Query, pending: Any) -> Any:
        yield from self.batches

    def waiting(self, query: Query, pending: Any) -> str:
        return "call them"


def test_what_a_good_oracle_yields_is_handed_on() -> None:
    oracle = GuardedOracle(Yielding([GOOD], [Answer(4, None, "me", 0)], []))
    oracle.submit(QUERY)
    batches = list(oracle.collect(QUERY, QUERY.row_ids))
    assert batches == [[GOOD], [Answer(4, None, "me", 0)], []]
    assert oracle.waiting(QUERY, QUERY.row_ids) == "call them"


@pytest.mark.parametrize(
    "batch",
    [GOOD, [(3, 1)], None, [Answer(3, "crack", "me", 0.0)], [Answer(3, 1, "me", None)], [Answer(3, True, "", 0)]],
)
def test_a_wrong_type_is_refused_and_what_came_before_is_handed_on(batch: Any) -> None:
    answers = GuardedOracle(Yielding([GOOD], batch)).collect(QUERY, QUERY.row_ids)
    assert next(answers) == [GOOD]
    with pytest.raises(
        OracleError, match=r"Yielding\.collect\(\) yielded .*\nexpected: lists of distal\.Answer"
    ) as told:
        next(answers)
    assert len(str(told.value).splitlines()) <= 3


def test_what_its_own_code_raises_is_told_by_its_name() -> None:
    class Failing(Yielding):
        def collect(self, query: Query, pending: Any) -> Any:
            raise KeyError("no such row")

    with pytest.raises(OracleError, match=r"Failing\.collect\(\) raised KeyError: 'no such row'"):
        list(GuardedOracle(Failing()).collect(QUERY, QUERY.row_ids))
    nothing = GuardedOracle(type("Nothing", (Yielding,), {"collect": lambda self, query, pending: None})())
    with pytest.raises(OracleError, match=r"Nothing\.collect\(\) raised TypeError"):
        list(nothing.collect(QUERY, QUERY.row_ids))


def test_a_function_stays_one_and_what_is_neither_is_refused() -> None:
    assert guarded(len) is len
    assert guarded(None) is None
    with pytest.raises(ConfigError, match=r"int has no submit\(\), collect\(\), waiting\(\)"):
        guarded(5)  # type: ignore[arg-type]

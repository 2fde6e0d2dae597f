"""Have a query answered: what is there is kept, each answer durable before the next; what is missing is said."""

from collections.abc import Iterator

from distal.oracle.protocol import Oracle
from distal.progress import Event, Listener
from distal.run.ledger import Answer, Ledger, Query


def answered(ledger: Ledger, oracle: Oracle, query: Query) -> Iterator[list[Answer]]:
    """Ask for what is pending of a query; yield the answers once they are durable.

    Raises:
        OracleError: an answer cannot be taken; those before it are kept.
    """
    oracle.submit(query)
    for answers in oracle.collect(query, ledger.pending(query)):
        ledger.record(query.round, answers)
        yield answers


def annotate(ledger: Ledger, oracle: Oracle, query: Query, listen: Listener) -> str | None:
    """Have the pending rows labeled, each answer durable before the next; return what is awaited, or None when done.

    Raises:
        OracleError: an answer cannot be taken; those before it are kept.
    """
    pending = ledger.pending(query)
    total = len(query.row_ids)
    listen(Event(query.round, "annotate", total - len(pending), total))
    if len(pending) == 0:
        return None
    for _ in answered(ledger, oracle, query):
        listen(Event(query.round, "annotate", len(ledger.answers(query.round)), total))
    pending = ledger.pending(query)
    return oracle.waiting(query, pending) if len(pending) else None

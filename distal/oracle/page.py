"""Ask people, on a page in their browser: `distal.label` serves it, and this waits for what they decide there."""

import time
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from distal.config import OracleSection
from distal.config.section import Fraction, Weight
from distal.oracle.classes import Classes
from distal.oracle.decided import decided
from distal.oracle.protocol import RowIds
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.ledger import Answer, Query
from distal.run.opinions import Opinions

LOOK_S = 0.1
"""How often a folder is looked at for new decisions; an object store, ten times less often."""


class PageConfig(OracleSection):
    """Who answers: people, on a page that the run opens."""

    kind: Literal["page"] = Field("page", description="people, on a page in their browser")
    host: str = Field("127.0.0.1", description="address that the page is served at; 0.0.0.0: to other machines, too")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8377, description="port of the page; 0: any that is free")
    repeat: Fraction = Field(
        0.0, description="share of the rows that a second person is asked as well, from which agreement is known"
    )
    relabel: Fraction = Field(
        0.0,
        description="answers of earlier batches that the model doubts and another person is asked, before new rows, at "
        "most, as a share of a batch (ActiveLab)",
    )
    wait_s: Weight | None = Field(
        None,
        description="seconds without a decision after which the run ends and gives its memory and GPUs back; "
        "`distal resume` goes on; null: it waits",
    )


class PageOracle:
    """Wait for what people decide of a query, and give it all at once, so that until then all can be undone."""

    def __init__(self, run: RunDirectory, classes: Classes, wait_s: float | None) -> None:
        self._run = run
        self._classes = classes
        self._wait_s = wait_s
        self._journal = Journal(run, Decision)
        self._opinions = Opinions()

    def submit(self, query: Query) -> None:
        """Need no preparation: the page shows what the run asks."""

    def collect(self, query: Query, pending: RowIds) -> Iterator[list[Answer]]:
        """Yield one list, once every pending row is answered, or nobody has decided anything for `wait_s`."""
        rows = pending.tolist()
        asked = set(rows)
        awaited = {row_id for row_id in rows if not self._opinions.of(row_id)}
        since = time.monotonic()
        while True:
            if changed := self._opinions.take(self._journal.new()):
                since = time.monotonic()
                for row_id in changed:
                    (awaited.discard if self._opinions.of(row_id) else awaited.add)(row_id)
                awaited &= asked
            if not awaited or (self._wait_s is not None and time.monotonic() - since > self._wait_s):
                break
            time.sleep(LOOK_S if self._run.local is not None else 10 * LOOK_S)
        answers = decided(self._opinions, self._classes, rows)
        if answers:
            yield answers

    def waiting(self, query: Query, pending: RowIds) -> str:
        """Say which page to open, and what to run then."""
        return (
            f"waiting for {len(pending)} label{'' if len(pending) == 1 else 's'}: distal label {self._run.uri}, "
            f"then run: distal resume {self._run.uri}"
        )

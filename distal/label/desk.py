"""Let people see the next rows, decide, take back and settle, whoever speaks for them; say how far all is.

Every decision is on the disk before its method returns. All methods may be called from several threads.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from distal.errors import OracleError
from distal.label.progress import Progress
from distal.label.queue import Queue
from distal.label.review import worth_another
from distal.oracle.classes import Classes
from distal.oracle.decided import decided
from distal.run.directory import COMMITTED, RunDirectory, round_path
from distal.run.journal import Decision, Journal
from distal.run.ledger import Ledger
from distal.run.opinions import Opinions
from distal.streams import row_uniforms

LOOK_S = 0.2
"""How often, at most, the run is asked whether it has another query; ten times less often on an object store."""
WHY = ("", "none", "unclear")


@dataclass(frozen=True)
class Ruling:
    """Hold what a page sends when a person decides. token: of this decision, made by the page; see `Decision`."""

    row_ids: tuple[int, ...]
    label: int | None
    token: str
    why: str = ""
    seconds: float = 0.0
    suggested: bool = False
    settles: bool = False


class Desk:
    """Hold the open query of a run, who is shown what of it, and what was decided.

    The caller holds the run's lock `label`. repeat: share of the rows that two people are asked. relabel: answers that
    the model doubts and another person is asked, at most, as a share of a query's rows. seed: of the run.
    """

    def __init__(self, run: RunDirectory, classes: Classes, repeat: float, seed: int, relabel: float = 0.0) -> None:
        self._run = run
        self._classes = classes
        self._repeat = repeat
        self._relabel = relabel
        self._doubted: set[int] = set()  # by the model, when the open query came
        self._seed = seed
        self._ledger = Ledger(run, len(classes.names))
        self._journal = Journal(run, Decision)
        self._journal.gather()
        self.opinions = Opinions()
        before = self._journal.new()
        self.opinions.take(before)
        self._queue = Queue([])
        self._rounds: dict[int, int] = {}  # of every row that was ever asked
        self._lock = threading.RLock()
        self._looked = -1e9
        self.round = 0
        self.progress = Progress(classes)
        for decision in before:
            self.progress.decided(decision)
        self.look()

    def look(self) -> None:
        """See whether the run asks for more."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked < (LOOK_S if self._run.local is not None else 10 * LOOK_S):
                return
            self._looked = now
            while True:
                following = self.round + 1
                if self.round and not self._run.has(round_path(self.round, COMMITTED)):
                    return
                query = self._ledger.read_query(following)
                if query is None:
                    return
                self._open(following, query.row_ids.tolist())

    def _open(self, round: int, rows: list[int]) -> None:
        self._queue.hurry([row_id for row_id, asked_in in self._rounds.items() if asked_in == self.round])
        self.round = round
        self._rounds.update(dict.fromkeys(rows, round))
        answered = {answer.row_id: answer for answer in self._ledger.answers(round)}
        self.progress.open(rows)
        for row_id, answer in answered.items():
            if not self.opinions.of(row_id):
                self.progress.count(row_id, answer.label, answer.cost)
        self._queue.add(row_id for row_id in rows if row_id not in answered and not self.opinions.of(row_id))
        self._settle(row_id for row_id in rows if self.opinions.of(row_id))
        if self._relabel > 0.0:
            before, most = self._doubted, int(self._relabel * len(rows) + 0.5)
            self._doubted = set(worth_another(self._run, self.opinions, rows, most))
            self._settle(sorted(before | self._doubted))

    def next(self, page: str, person: str, count: int) -> list[int]:
        """Return the rows that a page shows next."""
        with self._lock:
            self.look()
            return self._queue.next(page, person, count)

    def waiting(self) -> int:
        """Return how many rows await an answer."""
        with self._lock:
            return len(self._queue)

    def coming(self, page: str, count: int) -> list[int]:
        """Return rows that a page may come to, its own first; nobody is asked them by this."""
        with self._lock:
            self.look()
            return self._queue.claim(page, count)

    def hold(self, page: str, row_ids: Sequence[int]) -> list[int]:
        """Have a page hold these rows, and return those that others hold."""
        with self._lock:
            return self._queue.take(page, row_ids)

    def skip(self, page: str, row_ids: Sequence[int]) -> None:
        """Let rows come again later, after all others."""
        with self._lock:
            self._queue.give_back(page, row_ids, last=True)

    def leave(self, page: str) -> None:
        """Let go of all that a page holds."""
        with self._lock:
            self._queue.give_back(page)

    def decide(self, page: str, person: str, ruling: Ruling) -> Decision:
        """Keep a decision; it is durable on return. One that came before, under its token, is not kept twice.

        Raises:
            OracleError: it is about a row that was never asked, or gives a class that is none.
        """
        with self._lock:
            if (known := self.opinions.known(ruling.token)) is not None:
                return known
            self._check(ruling)
            decision = Decision(
                number=self.opinions.last + 1,
                person=person,
                row_ids=ruling.row_ids,
                label=ruling.label,
                time=time.time(),
                why=ruling.why,
                seconds=ruling.seconds,
                suggested=ruling.suggested,
                settles=ruling.settles,
                token=ruling.token,
            )
            self._keep(decision)
            return decision

    def undo(self, page: str, person: str, token: str) -> Decision | None:
        """Take a person's last decision back, and have its rows shown next; return it, None where there is none."""
        with self._lock:
            if (known := self.opinions.known(token)) is not None:
                return known
            last = self.opinions.latest_of(person)
            if last is None:
                return None
            number = self.opinions.last + 1
            self._keep(Decision(number, person, (), None, time.time(), undoes=last.number, token=token))
            self._queue.take(page, [row_id for row_id in last.row_ids if not self.opinions.of(row_id)])
            return last

    def _check(self, ruling: Ruling) -> None:
        rows = ruling.row_ids
        if not rows or len(set(rows)) != len(rows):
            raise OracleError("a decision is about no row, or about one twice\nexpected: one row or more, each once")
        for row_id in rows:
            if row_id not in self._rounds:
                raise OracleError(f"row {row_id} was never asked\nexpected: a row of this run's queries")
        if ruling.label is not None and not 0 <= ruling.label < len(self._classes.names):
            raise OracleError(f"class {ruling.label} does not exist\nexpected: 0 to {len(self._classes.names) - 1}")
        if ruling.why not in WHY or (ruling.label is None) != bool(ruling.why):
            raise OracleError(f"'{ruling.why}' is no reason for this answer\nexpected: none or unclear, or a class")

    def _keep(self, decision: Decision) -> None:
        self._journal.append(decision)
        self._settle(self.opinions.take([decision]))
        self.progress.decided(decision)

    def _settle(self, row_ids: Iterable[int]) -> None:
        """Have queue and counts follow what stands of these rows."""
        for row_id in row_ids:
            opinions = self.opinions.of(row_id)
            if not opinions:
                self.progress.uncount(row_id)
                self._queue.ask_again(row_id)
                continue
            (answer,) = decided(self.opinions, self._classes, [row_id])
            self.progress.count(row_id, answer.label, answer.cost)
            sooner = self._asks_another(row_id)
            again = opinions if sooner or (len(opinions) == 1 and self._asks_twice(row_id)) else ()
            self._queue.answered(row_id, again, sooner)

    def _asks_another(self, row_id: int) -> bool:
        """Say whether an answer that the model doubts awaits another person's: until, of two or more, most agree."""
        opinions = self.opinions.of(row_id).values()
        if row_id not in self._doubted or any(decision.settles for decision in opinions):
            return False
        most = max(Counter(decision.label for decision in opinions).values())
        return len(opinions) == 1 or 2 * most <= len(opinions)

    def _asks_twice(self, row_id: int) -> bool:
        if self._repeat <= 0.0 or self._rounds.get(row_id) != self.round:
            return False
        drawn = row_uniforms(np.array([row_id], dtype=np.int64), self._seed, "repeat")
        return bool(drawn[0] < self._repeat)

    def asked(self, row_id: int) -> bool:
        """Say whether the run has ever asked for this row: others are shown to nobody."""
        return row_id in self._rounds

    def round_of(self, row_id: int) -> int:
        """Return the round that asked for a row."""
        return self._rounds[row_id]

    def disputed(self) -> list[int]:
        """Return the rows about which people differ, and which nobody has settled, the first asked first."""
        with self._lock:
            return [row_id for row_id in self._rounds if self.opinions.disputed(row_id)]

    def decided_by(self, person: str, most: int) -> list[int]:
        """Return the rows that a person decided last, the newest first."""
        with self._lock:
            rows = [
                row for decision in self.opinions.decisions() if decision.person == person for row in decision.row_ids
            ]
            return list(dict.fromkeys(reversed(rows)))[:most]

    def answers(self) -> list[dict[str, int]]:
        """Return of each row that somebody has answered what each person said: a class index, -1 for no class.

        What was said to settle a dispute is left out, for it was said knowing the other answers.
        """
        with self._lock:
            said = []
            for row_id in self.opinions.rows():
                of_row = self.opinions.independent(row_id).items()
                said.append({person: -1 if d.label is None else d.label for person, d in of_row})
            return said

    def by_class(self) -> Counter[int | None]:
        """Return the answers that count by class index; None: of no class, or not to be told."""
        with self._lock:
            return Counter(self.progress.by_class)

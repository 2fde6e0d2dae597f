"""Say what stands of all that people have decided: each person's last answer to a row, and the one that counts."""

from collections import Counter
from collections.abc import Iterable, Iterator

from distal.run.journal import Decision


class Opinions:
    """Follow decisions as they come. Whatever was undone leaves what stood before it."""

    def __init__(self) -> None:
        self._standing: dict[int, dict[str, list[Decision]]] = {}  # by row and person, the newest last
        self._decided: dict[int, Decision] = {}  # by number, what stands
        self._tokens: dict[str, Decision] = {}
        self._of_person: dict[str, list[int]] = {}
        self.last = 0

    def take(self, decisions: Iterable[Decision]) -> list[int]:
        """Take decisions in; return the rows of which something changed."""
        changed: list[int] = []
        for decision in decisions:
            self.last = decision.number
            if decision.token:
                self._tokens[decision.token] = decision
            if decision.undoes is None:
                self._stand(decision)
                changed += decision.row_ids
            elif (undone := self._decided.pop(decision.undoes, None)) is not None:
                self._fall(undone)
                changed += undone.row_ids
        return changed

    def _stand(self, decision: Decision) -> None:
        self._decided[decision.number] = decision
        self._of_person.setdefault(decision.person, []).append(decision.number)
        for row_id in decision.row_ids:
            self._standing.setdefault(row_id, {}).setdefault(decision.person, []).append(decision)

    def _fall(self, decision: Decision) -> None:
        numbers = self._of_person[decision.person]
        numbers.pop() if numbers[-1] == decision.number else numbers.remove(decision.number)
        for row_id in decision.row_ids:
            of_row = self._standing[row_id]
            of_row[decision.person].remove(decision)
            if not of_row[decision.person]:
                del of_row[decision.person]
            if not of_row:
                del self._standing[row_id]

    def known(self, token: str) -> Decision | None:
        """Return the decision that the page called so, None where it never came."""
        return self._tokens.get(token)

    def latest_of(self, person: str) -> Decision | None:
        """Return the last decision of a person that stands; that is what an undo takes back."""
        numbers = self._of_person.get(person)
        return self._decided[numbers[-1]] if numbers else None

    def of(self, row_id: int) -> dict[str, Decision]:
        """Return each person's last answer to a row."""
        return {person: stack[-1] for person, stack in self._standing.get(row_id, {}).items()}

    def independent(self, row_id: int) -> dict[str, Decision]:
        """Return each person's last answer to a row that was given without knowing those of others."""
        said = {}
        for person, stack in self._standing.get(row_id, {}).items():
            if alone := [decision for decision in stack if not decision.settles]:
                said[person] = alone[-1]
        return said

    def rows(self) -> Iterator[int]:
        """Yield every row that somebody has answered."""
        yield from self._standing

    def decisions(self) -> Iterator[Decision]:
        """Yield what stands, the oldest first."""
        yield from self._decided.values()

    def outcome(self, row_id: int) -> Decision | None:
        """Return the answer that counts, None where nobody has answered.

        The last one that settles wins; else the answer that most people gave, and between as many the one that came
        first.
        """
        answers = sorted(self.of(row_id).values(), key=lambda decision: decision.number)
        settled = [decision for decision in answers if decision.settles]
        if settled:
            return settled[-1]
        votes = Counter(decision.label for decision in answers)
        return max(answers, key=lambda decision: (votes[decision.label], -decision.number), default=None)

    def disputed(self, row_id: int) -> bool:
        """Say whether people differ about a row and nobody has settled it."""
        answers = self.of(row_id).values()
        return len({decision.label for decision in answers}) > 1 and not any(d.settles for d in answers)

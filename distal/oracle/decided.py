"""Turn what people decided on the page into answers for the ledger, and into corrections of answers that it has."""

from collections.abc import Collection

from distal.oracle.classes import Classes
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.ledger import Answer, Ledger
from distal.run.opinions import Opinions


def opinions_of(run: RunDirectory) -> Opinions:
    """Return what stands of all decisions of a run."""
    opinions = Opinions()
    opinions.take(Journal(run, Decision).new())
    return opinions


def decided(opinions: Opinions, classes: Classes, row_ids: Collection[int]) -> list[Answer]:
    """Return the answers that count to those of the rows that somebody has answered, in the order of `row_ids`.

    An answer costs what all people's answers to its row cost together.
    """
    answers = []
    for row_id in row_ids:
        counts = opinions.outcome(row_id)
        if counts is not None:
            cost = sum(classes.cost(decision.label) for decision in opinions.of(row_id).values())
            answers.append(Answer(row_id, counts.label, counts.person, counts.time, cost))
    return answers


def corrections(run: RunDirectory, ledger: Ledger, classes: Classes) -> list[Answer]:
    """Return the answers that people have changed on the page since the ledger took them, ascending by row.

    Also those that cost more since, because another person was asked. An answer that was only taken back, and not given
    anew, stays as it is.
    """
    opinions = opinions_of(run)
    if not opinions.last:
        return []
    held = {answer.row_id: (answer.label, answer.cost) for answer in ledger.corrected()}
    changed = []
    for answer in decided(opinions, classes, sorted(held.keys() & set(opinions.rows()))):
        label, cost = held[answer.row_id]
        if answer.label != label or (answer.cost != cost and len(opinions.of(answer.row_id)) > 1):
            changed.append(answer)
    return changed

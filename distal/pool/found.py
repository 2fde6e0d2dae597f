"""Estimate how much of each class is found, from what is on disk of the rounds and what the shards count."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from distal.query import Asked, Known, estimate_recall
from distal.run.directory import RunDirectory
from distal.run.ledger import Labels, Ledger
from distal.run.predictions import read_predictions

Ids = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]


def estimate_found(
    run: RunDirectory, round: int, labels: Labels, ledger: Ledger, classes: Sequence[str], left: Ids
) -> list[dict[str, Any]]:
    """Return metrics.json's `recall` after a round: of each class, the images found, and about how many there are.

    left: int64 [K, BINS], the rows that may still be asked, counted by the newest probe's log odds.
    """
    rows, rounds, probs, scores = _foretold(run, round, ledger, len(classes))
    answers = Known(labels.row_ids, labels.labels, len(classes)).of(rows)
    estimates = []
    for index, name in enumerate(classes):
        found = int((labels.labels[labels.rounds > 0] == index).sum())
        asked = Asked(rounds, probs[:, index], answers == index, scores)
        estimates.append({"class": name, **asdict(estimate_recall(found, asked, left[index]))})
    return estimates


def _foretold(run: RunDirectory, last: int, ledger: Ledger, classes: int) -> tuple[Ids, Ids, Doubles, Doubles]:
    """Return, of all rows of which the probe foretold the answer: row ids, rounds, probabilities and scores.

    Ascending by row id. The score of an audit is minus its chance to be drawn; that of any other row is 1.
    """
    rows, rounds, scores = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
    probs = [np.empty((0, classes))]
    for round in range(1, last + 1):
        said, query = read_predictions(run, round), ledger.read_query(round)
        if said is None or query is None:
            continue
        rows.append(said.row_ids)
        rounds.append(np.full(len(said.row_ids), round))
        probs.append(said.probe.astype(np.float64))
        audits = query.strategy == "search"
        own = query.scores[np.isin(query.row_ids, said.row_ids)].astype(np.float64)  # less drawn images
        scores.append(own if audits else np.ones(len(said.row_ids)))
    order = np.argsort(np.concatenate(rows), kind="stable")
    ids, when = np.concatenate(rows)[order], np.concatenate(rounds)[order]
    return ids, when, np.concatenate(probs)[order], np.concatenate(scores)[order]


def least_recall(estimates: list[dict[str, Any]] | None) -> float | None:
    """Return the least share that is found, wrong at most once in twenty, of a class below an even share of the pool.

    estimates: metrics.json's `recall`; None where there is none, or no class is rare.
    """
    if not estimates:
        return None
    even = sum(each["total"] for each in estimates) / len(estimates)
    shares = [each["found"] / max(each["high"], 1) for each in estimates if each["total"] < even]
    return min(shares, default=None)

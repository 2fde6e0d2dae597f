"""A round that looks at part of the pool: which part, at what cost, and that nothing else depends on it."""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from round_case import Run

from distal.communicator import Alone
from distal.config import Config
from distal.errors import ConfigError
from distal.models import GAN
from distal.plan import Work, eyes_of, moments_of
from distal.pool.scope import Scope
from distal.query import STRATEGIES
from distal.rounds import acquire
from distal.run.ledger import Labels, Ledger

Small = Callable[..., Config]
BOTH = {"subpool": 150, "neighbours": 12}


def labels_of(row_ids: list[int]) -> Labels:
    ids = np.asarray(row_ids, dtype=np.int64)
    return Labels(ids, ids % 10, np.zeros(len(ids), dtype=np.int64))


def work_of(run: Run, given: Labels) -> Work:
    """Return what a round needs whose labels were given; nothing of it was asked before."""
    plan = dataclasses.replace(run.plan, given=given, available=run.plan.available - len(given.row_ids))
    eyes, nobody = eyes_of(plan, run.shards), cast(Any, None)
    scope = Scope(plan.config, plan.images.rows, eyes)
    seen = eyes, moments_of(plan, run.shards), scope
    return Work(plan, run.shards, nobody, Ledger(plan.run, 10), nobody, nobody, Alone(), run.events.append, *seen)


def askable(run: Run, count: int, seed: int = 0) -> Labels:
    """Return labels of rows that are not held out."""
    rows = np.arange(run.plan.images.rows)
    rows = rows[~run.plan.images.held_out(rows, run.plan.holdout)]
    return labels_of(np.random.default_rng(seed).permutation(rows)[:count].tolist())


def looked(run: Run) -> float:
    """Return how many rows the last round scored."""
    return float([event.facts["rows"] for event in run.events if event.phase == "acquire" and event.facts][-1])


@pytest.mark.parametrize(
    ("strategy", "classifier", "scope"),
    [("badge", "probe", BOTH), ("search", "probe", BOTH), ("margin", "head", {"subpool": 150})],
)
def test_what_is_asked_does_not_depend_on_the_shards_and_most_of_the_pool_is_not_looked_at(
    small_config: Small, strategy: str, classifier: str, scope: dict[str, int]
) -> None:
    config = small_config(classifier=classifier, query={"strategy": strategy, **scope})
    picks = []
    for shards in (1, 2, 8):
        run = Run(config.model_copy(update={"name": f"{config.name}-{shards}"}), shards=shards)
        model = GAN.create(config, 8, 1, 10)
        work = work_of(run, askable(run, 20))
        if classifier == "head":  # which is asked once a round has trained it
            run.directory.write("rounds/0001/checkpoint/manifest.json", b"{}")
        query = acquire(work, model, 2)
        picks.append([query.row_ids.tolist(), query.scores.tolist()])
        assert looked(run) <= 190 + 20 * 13
    assert len(picks[0][0]) == 10
    assert picks[0] == picks[1] == picks[2]


def test_a_neighbourhood_in_which_everything_was_asked_is_left(small_config: Small) -> None:
    run = Run(small_config(classifier="probe", query={"strategy": "margin", "neighbours": 1}))
    query = acquire(work_of(run, askable(run, 20)), GAN.create(run.plan.config, 8, 1, 10), 2)
    assert looked(run) == run.plan.images.rows  # the nearest row of each label is itself
    assert len(query.row_ids) == 10


def test_a_launch_that_begins_in_the_middle_looks_at_the_same_rows(small_config: Small) -> None:
    config = small_config(query={"strategy": "margin", **BOTH})
    run, margin = Run(config), STRATEGIES.find("margin")
    unbroken, resumed = scope_of(run, config), scope_of(run, config)
    for round, count in ((2, 5), (3, 12), (4, 30)):
        rows = unbroken.rows(margin, askable(run, count), round)
    again = resumed.rows(margin, askable(run, 30), 4)
    assert rows is not None
    assert again is not None
    assert np.array_equal(rows, again)


def scope_of(run: Run, config: Config) -> Scope:
    """Return the scope of a run whose eyes are open."""
    eyes = eyes_of(run.plan, run.shards)
    assert eyes is not None
    eyes.open(lambda event: None, 1)
    return Scope(config, run.plan.images.rows, eyes)


def test_a_round_looks_at_what_is_near_to_labels_and_at_some_of_the_rest(small_config: Small) -> None:
    config = small_config(query={"strategy": "margin", **BOTH})
    run, margin = Run(config), STRATEGIES.find("margin")
    scope, labels = scope_of(run, config), askable(run, 3)
    rows, later = scope.rows(margin, labels, 2), scope.rows(margin, labels, 3)
    assert rows is not None
    assert later is not None
    near = np.intersect1d(rows, later)
    assert np.isin(labels.row_ids, near).all()
    assert 100 < len(rows) < 150 + 60
    assert scope.rows(STRATEGIES.find("random"), labels, 2) is None
    assert Scope(small_config(), 1797, None).rows(margin, labels, 2) is None
    assert Scope(small_config(query={"neighbours": 5}), 1797, None).rows(margin, labels_of([]), 1) is None


def test_what_is_left_is_estimated_from_the_part_that_is_looked_at(
    small_config: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config()
    run = Run(config)
    taken: list[Any] = []
    monkeypatch.setattr("distal.pool.scope.estimate_found", lambda *given: taken.append(given[-1]))
    labels, ledger = askable(run, 6), Ledger(run.directory)
    left = run.plan.available - 6
    for query in ({}, {"subpool": 1797, "neighbours": 30}, {"subpool": 600, "neighbours": 30}, {"neighbours": 30}):
        scope_of(run, small_config(query=query)).recall(1, labels, ledger, run.plan.classes, left)
    whole, all_of_it, part, near = taken
    assert (whole.sum(1) == left).all()
    assert (all_of_it == whole).all()
    assert (near == whole).all()  # so small a pool is counted to its end
    assert (part != whole).any()
    assert np.abs(part.sum(1) - left).max() <= 32  # half a row of each of 64 bins is rounded away


def test_an_audit_in_a_sub_pool_was_as_unlikely_as_in_the_pool_and_there_is_none_in_a_neighbourhood(
    small_config: Small,
) -> None:
    search, scores = STRATEGIES.find("search"), np.array([0.5, -0.25], dtype=np.float32)
    drawn = Scope(small_config(query={"subpool": 100}), 1797, None)
    assert drawn.scores(search, scores, 40, 400).tolist() == pytest.approx([0.5, -0.025])
    assert drawn.scores(search, scores, 400, 400).tolist() == [0.5, -0.25]
    assert drawn.scores(STRATEGIES.find("margin"), scores, 40, 400).tolist() == [0.5, -0.25]
    near = Scope(small_config(query={"neighbours": 5}), 1797, None)
    assert near.scores(search, scores, 40, 400).tolist() == [0.5, 0.25]
    assert Scope(small_config(), 1797, None).scores(search, scores, 40, 400).tolist() == [0.5, -0.25]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"classifier": "head", "query": {"neighbours": 10}}, r"query\.neighbours: .*classifier=head"),
        ({"query": {"subpool": 9}}, r"query\.subpool: 9 rows .* query\.batch=10"),
    ],
)
def test_a_part_that_cannot_be_looked_at_is_refused(small_config: Small, sections: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small_config(**sections)

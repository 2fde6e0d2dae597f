"""How the last rounds' discriminators saw the pool: compared from their means on, the same after a resume."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from round_case import Run, contents

from distal.checkpoints import read_checkpoint
from distal.config import Config
from distal.models import GAN
from distal.plan import moments_of
from distal.pool.moments import KEPT, SAMPLE
from distal.run.ledger import Ledger


def by_hand(run: Run, rounds: int) -> np.ndarray:
    """Return the realism of every row by each round's checkpoint, less its mean over the pool, float64 [n, T]."""
    images = run.plan.images
    pixels = torch.from_numpy(images.pixels(np.arange(images.rows)))
    columns = []
    for round in range(1, rounds + 1):
        model = GAN.from_files(run.plan.config, read_checkpoint(run.directory, round))
        realism = model.scorer()(pixels)["realism"].double().numpy()
        columns.append(realism - realism.mean())
    return np.stack(columns, 1)


def test_what_is_asked_ranks_first_by_the_discriminators_of_the_rounds_so_far_and_a_resumed_run_asks_the_same(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distal.pool.moments.SAMPLE", 10_000)  # all rows, whose mean is then the zero
    asks = {"query": {"batch": 5, "strategy": "ldr_variance"}, "evaluate": {"samples": 16}, "rounds": 3}
    run, other = (Run(small_config(name=name, classifier="head", **asks)) for name in ("unbroken-ldr", "resumed-ldr"))
    run.go()
    ledger = Ledger(run.directory)
    queries = [ledger.read_query(round) for round in (1, 2, 3)]
    assert [query.strategy for query in queries if query] == ["random", "random", "ldr_variance"]
    scores = by_hand(run, 2).var(1, ddof=1)
    query = queries[2]
    assert query is not None
    np.testing.assert_allclose(query.scores, scores[query.row_ids], rtol=1e-3, atol=1e-4)
    free = np.setdiff1d(np.arange(len(scores)), ledger.asked())
    free = free[~run.plan.images.held_out(free, run.plan.holdout)]
    assert query.scores.min() >= scores[free].max() - 1e-3

    other.go(lambda result: result.round < 2)
    Run(other.plan.config).go()
    assert contents(other.folder) == contents(run.folder)


def test_no_more_than_the_last_rounds_count(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(small_config(classifier="head", rounds=1))
    run.go()
    moments = moments_of(run.plan, run.shards)
    model = GAN.from_files(run.plan.config, read_checkpoint(run.directory, 1))
    monkeypatch.setattr("distal.pool.moments.trained_before", lambda run, round: iter(range(round - 1, 0, -1)))
    moments._made = dict.fromkeys(range(1, 9), moments.before(2, model)[0])
    assert len(moments.before(10, model)) == KEPT
    assert moments.before(2, model)[0].scorer == model.scorer().to_bytes()
    assert run.plan.images.rows > SAMPLE

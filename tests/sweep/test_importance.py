"""Which keys the outcome of a sweep depends on."""

from pathlib import Path
from typing import Any

import made_sweep
import numpy as np
import pytest
from made_sweep import results_of, trial

from distal.sweep.importance import LEAST_TRIALS, importance
from distal.sweep.space import parse_space

TWO: dict[str, Any] = {
    "model.learning_rate_g": {"loguniform": [1e-4, 1e-2]},
    "train.steps": {"randint": [50, 400]},
}
CONDITIONAL = {
    "query.strategy": {"choice": ["badge", "margin"]},
    "query.candidates": {"uniform": [2, 8], "when": {"query.strategy": "badge"}},
    "model.learning_rate_g": TWO["model.learning_rate_g"],  # so that no two points are the same
}


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distal.sweep.importance._TREES", 50)  # of 200, which take a second


def _sweep(tmp_path: Path, space: dict[str, Any], value: Any, count: int = 60, **options: Any) -> Any:
    points = parse_space(space).draw(0, count)
    return results_of([trial(p, value(p), start=1000.0, rounds=30) for p in points], tmp_path, space, **options)


def test_the_key_that_decides_comes_first_and_the_shares_add_up_to_one(tmp_path: Path) -> None:
    found = importance(_sweep(tmp_path, TWO, lambda p: 1e4 * p["model.learning_rate_g"]))
    assert found.shares[0].key == "model.learning_rate_g"
    assert found.shares[0].share > 0.9
    assert sum(share.share for share in found.shares) == pytest.approx(1.0)
    assert found.r2 is not None
    assert found.r2 > 0.8


def test_a_category_is_found(tmp_path: Path) -> None:
    space = {"train.augment": {"choice": [[], ["shift"], ["shift", "cutout"]]}, **TWO}
    found = importance(_sweep(tmp_path, space, lambda p: 2.0 + 10 * len(p["train.augment"])))
    assert found.shares[0].key == "train.augment"
    assert found.shares[0].share > 0.95


def test_a_condition_is_not_credited_with_the_effect_of_the_key_it_asks_about(tmp_path: Path) -> None:
    found = importance(_sweep(tmp_path, CONDITIONAL, lambda p: 2.0 if p["query.strategy"] == "badge" else 20.0))
    assert found.shares[0].key == "query.strategy"
    assert found.shares[0].share > 0.95


def test_a_conditional_key_is_credited_with_its_own_effect(tmp_path: Path) -> None:
    found = importance(_sweep(tmp_path, CONDITIONAL, lambda p: np.exp(p.get("query.candidates", 5.0))))
    assert found.shares[0].key == "query.candidates"


def test_the_same_trials_give_the_same_shares(tmp_path: Path) -> None:
    assert importance(made_sweep.asha(tmp_path)) == importance(made_sweep.asha(tmp_path))


def test_the_seed_is_no_key(tmp_path: Path) -> None:
    found = importance(made_sweep.asha(tmp_path, seeds=(0, 1, 2)))
    assert {share.key for share in found.shares} == set(made_sweep.SPACE)


def test_a_score_that_is_to_grow_and_distances_below_zero_are_taken_as_they_are(tmp_path: Path) -> None:
    share = _sweep(tmp_path, TWO, lambda p: p["train.steps"] / 400, metric="accuracy")
    assert importance(share).shares[0].key == "train.steps"
    kernel = _sweep(tmp_path, TWO, lambda p: p["train.steps"] / 400 - 0.5, metric="kd_pool-cnn")
    assert importance(kernel).shares[0].key == "train.steps"


def test_too_few_trials_are_said(tmp_path: Path) -> None:
    found = importance(_sweep(tmp_path, TWO, lambda p: 1.0 + p["train.steps"], count=LEAST_TRIALS - 1))
    assert found.shares == ()
    assert "takes 8 trials" in found.reason
    assert "here are 7" in found.reason


def test_failed_and_unfinished_trials_do_not_count(tmp_path: Path) -> None:
    found = importance(made_sweep.asha(tmp_path, points=12, failed=3, unfinished=3))
    assert "here are 6" in found.reason


def test_a_trial_that_ended_before_its_strategy_asked_does_not_count(tmp_path: Path) -> None:
    space = {"query.strategy": ["badge", "margin"], "model.learning_rate_g": TWO["model.learning_rate_g"]}
    points = parse_space(space).draw(0, 12)
    ended = [trial(point, 3.0 + i, state="stopped", rounds=1 + i % 2) for i, point in enumerate(points)]
    assert "in round 2 or later; here are 6" in importance(results_of(ended, tmp_path, space)).reason


def test_one_key_has_nothing_to_share(tmp_path: Path) -> None:
    found = importance(_sweep(tmp_path, {"train.steps": TWO["train.steps"]}, lambda p: 1.0 + p["train.steps"]))
    assert "one key" in found.reason


def test_noise_alone_has_no_importance(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    found = importance(_sweep(tmp_path, TWO, lambda p: float(np.exp(random.standard_normal()))))
    assert found.shares == ()
    assert found.r2 is not None
    assert found.r2 <= 0.0
    assert "better than their mean" in found.reason


def test_equal_trials_have_no_importance(tmp_path: Path) -> None:
    assert "same value" in importance(_sweep(tmp_path, TWO, lambda p: 3.0)).reason

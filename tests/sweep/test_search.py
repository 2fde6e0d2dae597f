"""Tune's parts are built from the sweep's words: what they suggest, give up and change is what was meant."""

from typing import Any

import pytest

from distal.resolve import make_config
from distal.sweep.config import SweepConfig
from distal.sweep.resolve import make_sweep
from distal.sweep.search import make_scheduler, make_searcher
from distal.sweep.space import parse_space

BASE = make_config({"rounds": 9, "query": {"batch": 5}})
CONDITIONAL = {
    "query.strategy": ["random", "badge"],
    "query.cold_start": {"choice": ["random", "coreset"], "when": {"query.strategy": "badge"}},
    "model.learning_rate_g": {"loguniform": [1e-4, 1e-2]},
    "model.lazy_interval": {"randint": [1, 5]},
    "model.class_weight": {"quniform": [0.0, 1.0, 0.25]},
}


def sweep_of(space: dict[str, Any] = CONDITIONAL, **settings: Any) -> SweepConfig:
    return make_sweep({"space": space, **settings})


def test_optuna_leaves_out_what_a_condition_excludes_and_keeps_to_the_ranges() -> None:
    pytest.importorskip("optuna")
    searcher = make_searcher(sweep_of(searcher="optuna"), parse_space(CONDITIONAL), "min", [])
    assert searcher is not None
    seen = set()
    for number in range(20):
        point = searcher.suggest(str(number))["point"]
        seen.add(point["query.strategy"])
        assert ("query.cold_start" in point) == (point["query.strategy"] == "badge")
        assert 1e-4 <= point["model.learning_rate_g"] <= 1e-2
        assert point["model.lazy_interval"] in (1, 2, 3, 4)
        assert point["model.class_weight"] in (0.0, 0.25, 0.5, 0.75, 1.0)
        searcher.on_trial_complete(str(number), {"objective": point["model.learning_rate_g"]})
    assert seen == {"random", "badge"}


def test_an_interrupted_search_asks_for_its_old_points_first() -> None:
    pytest.importorskip("optuna")
    known = [
        {
            "query.strategy": "random",
            "model.learning_rate_g": 3e-4,
            "model.lazy_interval": 2,
            "model.class_weight": 0.5,
        }
    ]
    searcher = make_searcher(sweep_of(searcher="optuna"), parse_space(CONDITIONAL), "min", known)
    assert searcher is not None
    assert searcher.suggest("0")["point"] == known[0]


def test_bohb_and_optuna_draw_other_points_when_they_are_taken_up() -> None:
    pytest.importorskip("optuna")
    space = {"model.learning_rate_g": {"loguniform": [1e-4, 1e-2]}}
    first = make_searcher(sweep_of(space, searcher="optuna"), parse_space(space), "min", [])
    assert first is not None
    known = [first.suggest("0")["point"]]
    again = make_searcher(sweep_of(space, searcher="optuna"), parse_space(space), "min", known)
    assert again is not None
    assert again.suggest("0")["point"] == known[0]
    assert again.suggest("1")["point"] != known[0]


@pytest.mark.parametrize("name", ["hyperband", "median", "none"])
def test_the_other_schedulers_are_made(name: str) -> None:
    assert make_scheduler(sweep_of(early_stop={"scheduler": name}), BASE, parse_space(CONDITIONAL), "min") is not None

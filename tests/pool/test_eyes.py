"""Rank 0's eyes: what is foretold, who is believed, what is estimated to be found, all from what is on disk."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from round_case import Run

from distal.config import Config
from distal.errors import UntrainedError
from distal.features import autoencoder_training
from distal.plan import eyes_of
from distal.pool.eyes import PROJECTION
from distal.pool.found import least_recall
from distal.query import phases
from distal.run.ledger import Ledger
from distal.run.predictions import read_predictions


def metrics(run: Run, round: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / f"rounds/{round:04d}/metrics.json").read_text())
    return found


def test_both_classifiers_foretell_a_query_once_there_are_labels_and_the_verdict_is_recorded(
    small_config: Callable[..., Config],
) -> None:
    run = Run(small_config())
    run.go()
    assert read_predictions(run.directory, 1) is None  # nothing was known yet
    said = read_predictions(run.directory, 2)
    assert said is not None
    assert said.head is not None
    for probs in (said.probe, said.head):
        assert probs.shape == (10, 10)
        assert np.allclose(probs.sum(1), 1.0, atol=1e-5)
    assert metrics(run, 1)["classifier"]["losses"] == {}
    assert set(metrics(run, 2)["classifier"]["losses"]) == {"probe", "head", "product"}
    scores = {score["name"]: score["value"] for score in metrics(run, 2)["scores"]}
    assert scores["probe_accuracy"] > 0.3
    assert 0.0 <= scores["probe_accuracy_calibration"] <= 1.0


def test_a_run_by_the_head_alone_makes_no_features(small_config: Callable[..., Config]) -> None:
    run = Run(small_config(classifier="head"))
    run.go()
    assert not run.directory.has(PROJECTION)
    assert read_predictions(run.directory, 2) is None
    assert (metrics(run, 2)["classifier"], metrics(run, 2)["recall"]) == (None, None)
    assert not [event for event in run.events if event.phase == "features"]


def test_an_autoencoder_is_trained_once_before_the_shards_look_through_it(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder_training, "STEPS", 20)
    run = Run(small_config(rounds=1, features={"network": "autoencoder"}))
    assert run.plan.network is not None
    with pytest.raises(UntrainedError, match="not at features/autoencoder-"):
        run.plan.network(torch.device("cpu"))
    eyes = eyes_of(run.plan, run.shards)
    assert eyes is not None
    eyes.open(run.events.append, 1)
    heard = [event.phase for event in run.events]
    assert heard.index("extractor") < heard.index("features")
    monkeypatch.setattr("distal.features.autoencoder.train", None)
    assert run.plan.network(torch.device("cpu")).width == 64


def test_what_is_found_of_each_class_lies_in_the_interval_that_is_stated(small_config: Callable[..., Config]) -> None:
    run = Run(small_config(query={"batch": 30, "strategy": "search"}))
    run.go()
    estimates = metrics(run, 2)["recall"]
    labels = run.plan.images.labels(np.arange(run.plan.images.rows))
    askable = ~run.plan.images.held_out(np.arange(run.plan.images.rows), run.plan.holdout)
    truth = np.bincount(labels[askable], minlength=10)
    assert sum(each["found"] for each in estimates) == 60
    inside = [each["low"] <= truth[int(each["class"])] <= each["high"] for each in estimates]
    assert sum(inside) >= 7  # how often it does is measured in benchmarks/recall.py
    assert all(each["low"] <= each["total"] <= each["high"] for each in estimates)


def test_auto_covers_the_pool_and_refines_where_labels_are_uneven(
    small_config: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases, "COVERED", 0.5)
    monkeypatch.setattr(phases, "EXPLORED", 0.0)
    run = Run(small_config(rounds=8, query={"batch": 4, "strategy": "auto"}))
    run.go(lambda result: result.round < 3)
    first, second, third = (metrics(run, round)["phase"] for round in (1, 2, 3))
    assert first is None  # the cold start chose
    assert (second["name"], second["strategy"]) == ("cover", "uherding")
    assert second["why"].startswith("4 labels are fewer than")
    assert (third["name"], third["strategy"]) == ("refine", "cluster_margin")
    ledger = Ledger(run.directory)
    asked = [ledger.read_query(round) for round in (2, 3)]
    assert [query.strategy for query in asked if query] == ["uherding", "cluster_margin"]


@pytest.mark.parametrize(
    ("rare", "least"),
    [([{"total": 10, "found": 8, "high": 16}], 0.5), ([{"total": 100, "found": 8, "high": 800}], None), (None, None)],
)
def test_recall_is_that_of_the_rare_class_of_which_the_least_is_found(
    rare: list[dict[str, Any]] | None, least: float | None
) -> None:
    common = {"total": 100, "found": 10, "high": 120}
    assert least_recall(None if rare is None else [common, *rare]) == least

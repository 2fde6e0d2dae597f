"""Where the gate's classifiers are trained: here, or as Ray tasks; the figures are the same."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from metric_fakes import digits

from distal.driver import training_tasks, trainings
from distal.driver.trainings import Trainings
from distal.errors import ClusterError
from distal.prove import Evidence, Examples, prove, to_json
from distal.prove.trainings import Learner, Said, Training, in_turn, on_features

ASKED = [Training(seed, on) for seed in range(2) for on in ("labels", "images", "augmented")]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    pixels, labels = digits()
    kept = np.flatnonzero(labels < 3)[:240]
    all_of = Examples(torch.nn.functional.normalize(torch.from_numpy(pixels[kept]).flatten(1).float()), labels[kept])
    labeled, added, held_out = (all_of.take(np.arange(*ends)) for ends in ((0, 24), (24, 48), (48, 168)))
    return Evidence(
        ("0", "1", "2"), labeled, held_out, added, added, all_of.features[168:], np.full(3, 5), price=10, seed=0
    )


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[list[Training]]:
    """Play a cluster: remember what it was given, and train it here."""
    given: list[list[Training]] = []

    @contextmanager
    def joined(address: str | None) -> Iterator[object]:
        def carry(
            evidence: Evidence, learner: Learner, asked: Sequence[Training], tell: Callable[[int], None]
        ) -> list[Said]:
            given.append(list(asked))
            tell(len(asked))
            return in_turn(evidence, learner, asked)

        yield carry

    monkeypatch.setattr(training_tasks, "training_tasks", joined)
    monkeypatch.setattr(trainings, "joined_ray", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return given


def carried(evidence: Evidence, address: str | None) -> tuple[list[Said], list[str]]:
    heard: list[str] = []
    with Trainings(address, heard.append) as here:
        return here.carry(evidence, on_features, ASKED), heard


def same(a: list[Said], b: list[Said]) -> bool:
    return all(
        x.keys() == y.keys() and all(np.array_equal(x[on], y[on]) for on in x) for x, y in zip(a, b, strict=True)
    )


def two_cores(monkeypatch: pytest.MonkeyPatch, load: float) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1})
    monkeypatch.setattr("os.getloadavg", lambda: (load, load, load))


def test_what_is_short_is_trained_here(evidence: Evidence, tasks: list[list[Training]]) -> None:
    said, heard = carried(evidence, None)
    assert tasks == []
    assert heard[-1] == "6 of 6 sets trained"
    assert same(said, in_turn(evidence, on_features, ASKED))


def test_what_is_long_goes_to_a_local_ray_after_the_first_and_keeps_its_order(
    evidence: Evidence, tasks: list[list[Training]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "RAY_S", 0.0)
    two_cores(monkeypatch, 1.0)
    said, heard = carried(evidence, None)
    assert tasks == [ASKED[1:]]
    assert heard == ["starting Ray", "6 of 6 sets trained"]
    assert same(said, in_turn(evidence, on_features, ASKED))


def test_where_others_use_the_cores_all_is_trained_here(
    evidence: Evidence, tasks: list[list[Training]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "RAY_S", 0.0)
    two_cores(monkeypatch, 2.5)
    carried(evidence, None)
    assert tasks == []


def test_where_no_local_ray_starts_all_is_trained_here(
    evidence: Evidence, tasks: list[list[Training]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(address: str | None) -> object:
        raise ClusterError("address: no Ray cluster answers.\nStart one.")

    monkeypatch.setattr(training_tasks, "training_tasks", refuse)
    monkeypatch.setattr(trainings, "RAY_S", 0.0)
    two_cores(monkeypatch, 1.0)
    said, _ = carried(evidence, None)
    assert same(said, in_turn(evidence, on_features, ASKED))
    assert "trained in this process: address: no Ray cluster answers." in caplog.text
    with pytest.raises(ClusterError):
        carried(evidence, "head:6379")


def test_a_cluster_at_an_address_trains_all(evidence: Evidence, tasks: list[list[Training]]) -> None:
    carried(evidence, "head:6379")
    assert tasks == [ASKED]


def test_a_trial_of_a_sweep_trains_with_what_it_has(
    evidence: Evidence, tasks: list[list[Training]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainings, "_in_actor", lambda: True)
    carried(evidence, "head:6379")
    assert tasks == []


def test_ray_tasks_come_to_the_figures_of_one_process(evidence: Evidence, local_ray: None) -> None:
    with Trainings(None, lambda text: None) as on_ray:
        proof = prove(evidence, 2, carry=on_ray.carry)
    assert on_ray._tasks is not None
    assert to_json(proof, "given") == to_json(prove(evidence, 2), "given")
    other = replace(evidence, seed=1)
    assert to_json(prove(other, 2), "given") != to_json(proof, "given")

"""Reading a run directory in any state."""

import json
from pathlib import Path
from typing import Any

import pytest
from digits_run import make_run

from distal.errors import RunError
from distal.report.collect import collect
from distal.run.directory import RunDirectory, round_path


def test_committed_rounds_carry_metrics_and_answers(tmp_path: Path) -> None:
    record = collect(make_run(tmp_path, rounds=3, skipped=2))
    assert [r.round for r in record.rounds] == [1, 2, 3]
    assert [m.labels for _, m in record.measured] == [10, 19, 29]
    assert record.labels == 29
    assert record.rounds[1].count("declined") == 1
    assert record.rounds[1].annotators == ["dataset"]
    assert len(record.skipped) == 2
    assert record.environment["host"] == "bench-3"
    assert record.stopped["reason"] == "labels"


def test_a_round_in_progress_counts_its_labels_and_nothing_else(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2, unfinished=4)
    run.write(round_path(3, "metrics.json"), run.read(round_path(2, "metrics.json")))
    run.write(round_path(3, "samples.png"), run.read(round_path(2, "samples.png")))
    record = collect(run)
    assert len(record.measured) == 2
    assert record.labels == 23
    assert record.rounds[2].count("waiting") == 6
    assert not record.rounds[2].has_samples


def test_a_run_without_rounds_is_read(tmp_path: Path) -> None:
    record = collect(make_run(tmp_path, rounds=0, stopped=False))
    assert record.rounds == ()
    assert record.measured == []


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no config\.yaml"):
        collect(RunDirectory.open(str(tmp_path), "nothing"))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"labels": 1}', b'{"labels": "many"}'])
def test_damaged_metrics_are_named(tmp_path: Path, content: bytes) -> None:
    run = make_run(tmp_path, rounds=1)
    run.write(round_path(1, "metrics.json"), content)
    with pytest.raises(RunError, match=r"rounds/0001/metrics\.json"):
        collect(run)


def test_scores_that_could_not_be_computed_have_no_value(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=1)
    metrics = json.loads(run.read(round_path(1, "metrics.json")))
    metrics["scores"][0]["value"] = None
    metrics["losses"]["generator"] = float("nan")
    run.write(round_path(1, "metrics.json"), json.dumps(metrics).encode())
    measured = collect(run).measured[0][1]
    assert measured.value("fd_pool-cnn") is None
    assert measured.losses["generator"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": {"train": float("nan")}},
        {"seconds": {"train": float("inf")}},
        {"seconds": {"train": -1}},
        {"seconds": [1]},
        {"labels": 10**400},
        {"labels": [1]},
        {"steps": float("inf")},
        {"cost": float("nan")},
        {"scores": 5},
        {"scores": [{}]},
        {"scores": [{"name": "fid", "value": 1.0, "hash": 5}]},
        {"scores": [{"name": "fid", "value": 1.0, "samples": "many"}]},
        {"scores": [{"name": "fid", "value": 1.0, "class": ["a"]}]},
        {"scores": [{"name": ["fid"], "value": 1.0}]},
        {"scores": [{"name": "fid", "value": "abc"}]},
    ],
    ids=str,
)
def test_metrics_that_distal_never_wrote_are_named(tmp_path: Path, change: dict[str, Any]) -> None:
    run = make_run(tmp_path, rounds=1)
    metrics = json.loads(run.read(round_path(1, "metrics.json")))
    run.write(round_path(1, "metrics.json"), json.dumps(metrics | change).encode())
    with pytest.raises(RunError, match=r"rounds/0001/metrics\.json"):
        collect(run)


@pytest.mark.parametrize("content", ["[1]", '[{"row_id": 1}]', "{}", 100_000 * "["], ids=lambda text: text[:20])
def test_damaged_lists_of_skipped_rows_are_named(tmp_path: Path, content: str) -> None:
    run = make_run(tmp_path, rounds=1)
    run.write("skipped.json", content.encode())
    with pytest.raises(RunError, match=r"skipped\.json"):
        collect(run)


def test_folders_that_are_no_rounds_are_left_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=1)
    for name in ("²", "0000", "x"):
        run.write(f"rounds/{name}/note", b"")
    assert [r.round for r in collect(run).rounds] == [1]

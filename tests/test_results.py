"""A round's metrics are read back whole, or refused by name."""

import json
from typing import Any

import pytest

from distal.errors import StorageError
from distal.run.directory import RunDirectory, round_path
from distal.run.results import read_result

FINE: dict[str, Any] = {
    "goal": "fid",
    "labels": 10,
    "scores": [
        {"name": "fid", "value": 20.5, "class": None},
        {"name": "accuracy", "value": None, "class": None},
        {"name": "fid_class", "value": 3, "class": "cat"},
    ],
}
SCORE = FINE["scores"][0]
DAMAGED = [
    {"scores": 5},
    {"scores": [{}]},
    {"scores": [5]},
    {"scores": [SCORE | {"value": "abc"}]},
    {"scores": [SCORE | {"value": [1]}]},
    {"scores": [SCORE | {"value": 10**400}]},
    {"scores": [SCORE | {"name": 5}]},
    {"scores": [SCORE | {"class": ["cat"]}]},
    {"labels": [1]},
    {"labels": "many"},
    {"labels": True},
    {"goal": ["fid"]},
]


@pytest.fixture
def run(tmp_path):
    return RunDirectory.open(str(tmp_path), "r")


def test_a_result_is_read_back(run):
    run.write(round_path(1, "metrics.json"), json.dumps(FINE).encode())
    result = read_result(run, 1)
    assert (result.distance, result.score("accuracy")) == (20.5, None)
    assert repr(result) == "RoundResult(round=1, labels=10, distance=20.5)"
    assert result.headline() == {"labels": 10, "fid": 20.5}


@pytest.mark.parametrize("change", DAMAGED, ids=lambda change: json.dumps(change)[:60])
def test_metrics_that_distal_never_wrote_are_damage(run, change):
    run.write(round_path(1, "metrics.json"), json.dumps(FINE | change).encode())
    with pytest.raises(StorageError, match=r"rounds/0001/metrics\.json is damaged"):
        read_result(run, 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"5", b"{}", b"[" * 100_000, b"\xff", b'{"labels": 1' + 5000 * b"0" + b"}"],
    ids=lambda content: repr(content[:5]),
)
def test_what_is_no_round_at_all_is_damage(run, content):
    run.write(round_path(1, "metrics.json"), content)
    with pytest.raises(StorageError, match="is damaged"):
        read_result(run, 1)

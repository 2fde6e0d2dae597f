"""The status of a run is read from its directory alone, and damage there is named."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from resolved_facts import RESOLVED

from distal.cli.status import describe_status
from distal.errors import RunError, StorageError
from distal.resolve import make_config, print_config
from distal.run.directory import RunDirectory, round_path
from distal.run.ledger import Answer, Ledger, Query


def run_with(tmp_path, **resolved: Any) -> RunDirectory:
    run = RunDirectory.open(str(tmp_path), "r")
    config = make_config({"name": "r", "storage": str(tmp_path)})
    run.write("config.yaml", print_config(config, RESOLVED | resolved).encode())
    return run


def ask(run: RunDirectory) -> None:
    Ledger(run).write_query(Query(1, np.array([4, 2]), np.array([1, 0.5], dtype=np.float32), "margin"))
    Ledger(run).record(1, [Answer(4, 1, "a", 0.0)])


def test_a_run_in_progress_says_what_is_awaited(tmp_path):
    run = run_with(tmp_path)
    ask(run)
    said = describe_status(run)
    assert "1,797 rows of digits, 2 classes" in said
    assert "round 1: 1 of 2 labels are awaited" in said


def test_labels_that_a_run_began_with_are_counted_apart(tmp_path):
    run = run_with(tmp_path, given={"labels": 12, "sha256": "a"})
    ask(run)
    assert "1 labels from 1 answers, budget 50, cost 1; 12 labels were given" in describe_status(run)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": "many"},
        {"rows": -1},
        {"rows": True},
        {"image_size": 10**9},
        {"channels": "1"},
        {"classes": 5},
        {"classes": []},
        {"classes": [1, 2]},
        {"fingerprint": ["a"]},
    ],
    ids=str,
)
def test_a_record_that_distal_never_wrote_is_refused_by_key(tmp_path, change):
    with pytest.raises(RunError, match=rf"config\.yaml: .*{next(iter(change))}"):
        describe_status(run_with(tmp_path, **change))


def test_a_label_that_is_no_class_is_damage(tmp_path):
    run = run_with(tmp_path)
    ask(run)
    path = tmp_path / "r" / round_path(1, "labels.parquet")
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "label", pa.array([2], pa.int64())).replace_schema_metadata(None), path)
    with pytest.raises(StorageError, match=r"labels\.parquet is damaged: label 2; expected 0 to 1"):
        describe_status(run)

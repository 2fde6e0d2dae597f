"""The labels that a run began with: kept whole, told from what is damaged."""

import numpy as np
import pytest

from distal.errors import StorageError
from distal.run.directory import RunDirectory
from distal.run.given import GIVEN, facts_of, given_labels, joined, keep, read_given, to_parquet

MINE = given_labels(np.array([3, 8, 11], dtype=np.int64), np.array([1, 0, 1], dtype=np.int64))


@pytest.fixture
def run(tmp_path):
    return RunDirectory.open(str(tmp_path), "r")


def test_labels_are_read_back_as_they_were_given(run):
    run.write(GIVEN, to_parquet(MINE))
    back = read_given(run, facts_of(MINE))
    assert (back.row_ids.tolist(), back.labels.tolist(), back.rounds.tolist()) == ([3, 8, 11], [1, 0, 1], [0, 0, 0])


def test_a_run_that_was_given_none_has_none(run):
    assert facts_of(given_labels(MINE.row_ids[:0], MINE.labels[:0])) is None
    assert len(read_given(run, None).row_ids) == 0


@pytest.mark.parametrize(
    "content",
    [None, b"", b"PAR1 or not", to_parquet(given_labels(MINE.row_ids, MINE.labels[::-1] + 1))],
    ids=["gone", "empty", "no table", "other labels"],
)
def test_a_file_that_is_not_what_the_run_began_with_is_damaged(run, content):
    if content is not None:
        run.write(GIVEN, content)
    with pytest.raises(StorageError, match=r"given\.parquet"):
        read_given(run, facts_of(MINE))


def test_labels_that_cannot_be_used_are_left_out_and_counted(caplog):
    kept = keep(MINE, np.array([True, False, True]), "held out for evaluation")
    assert kept.row_ids.tolist() == [3, 11]
    assert caplog.messages == ["query.labels: 1 of 3 labels are left out; their images are held out for evaluation"]


def test_given_labels_come_before_those_that_were_asked():
    both = joined(MINE, MINE)
    assert both.row_ids.tolist() == [3, 8, 11, 3, 8, 11]

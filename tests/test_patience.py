"""A store that stops answering is waited for; one that never answered, or refuses, is not."""

import pytest

from distal.errors import StorageAwayError, StorageError
from distal.run import patience
from distal.run.patience import Patience


@pytest.fixture
def waits(monkeypatch):
    """Return the waits so far, in seconds of a clock that only they move."""
    found = []
    monkeypatch.setattr(patience.time, "sleep", found.append)
    monkeypatch.setattr(patience.time, "monotonic", lambda: sum(found))
    return found


def failing(times, error=StorageAwayError):
    left = [times]

    def request():
        if left[0]:
            left[0] -= 1
            raise error("it does not answer\nlook there")
        return "answer"

    return request


def answered():
    patiently = Patience()
    patiently(lambda: None)
    return patiently


def test_a_request_is_tried_again_at_longer_and_longer_intervals(waits):
    assert answered()(failing(6)) == "answer"
    assert waits == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]


def test_patience_ends(waits):
    with pytest.raises(StorageAwayError):
        answered()(failing(1000))
    assert patience.PATIENCE_S - patience.LONGEST_WAIT_S < sum(waits) <= patience.PATIENCE_S


def test_a_store_that_never_answered_is_not_waited_for(waits):
    with pytest.raises(StorageAwayError):
        Patience()(failing(1))
    assert waits == []


def test_what_a_store_refuses_is_not_asked_again(waits):
    with pytest.raises(StorageError):
        answered()(failing(1, StorageError))
    assert waits == []

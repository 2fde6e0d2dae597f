import pytest
import torch

from distal.nets.threads import one_thread


def test_the_threads_are_one_within_and_as_before_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    with pytest.raises(KeyboardInterrupt), one_thread():
        raise KeyboardInterrupt
    assert told == [1, 3]

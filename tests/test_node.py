"""A raylet that dies ends what waits for it. Its socket is played by one of the test; no Ray is started."""

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from distal.driver import node
from distal.driver.node import WAKE, watched
from distal.errors import ClusterError


@pytest.fixture
def end_raylet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Listen where the raylet would, and return what ends that as its death does."""
    place = str(tmp_path / "raylet")
    raylet = socket.socket(socket.AF_UNIX)
    raylet.bind(place)
    raylet.listen()
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "here"))
    monkeypatch.setattr(ray, "nodes", lambda: [{"NodeID": "here", "RayletSocketName": place}])
    monkeypatch.setattr(node, "GRACE_S", 0.1)
    yield raylet.close  # which also ends the lines that nobody has accepted
    raylet.close()


def test_a_block_that_waits_ends_with_an_error_that_code_within_it_does_not_swallow(
    end_raylet: Callable[[], None],
) -> None:
    def label() -> None:
        end_raylet()
        with suppress(Exception):
            time.sleep(30.0)
        time.sleep(30.0)

    with pytest.raises(ClusterError, match=r"raylet.*\n.*resume"), watched():
        label()


def test_a_raylet_that_has_died_before_is_told_at_once(end_raylet: Callable[[], None]) -> None:
    end_raylet()
    with pytest.raises(ClusterError, match="raylet"), watched():
        raise AssertionError("the block was entered")


def test_a_raylet_out_of_sight_is_not_watched(end_raylet: Callable[[], None], tmp_path: Path) -> None:
    (tmp_path / "raylet").unlink()
    with watched():
        assert not [thread for thread in threading.enumerate() if thread.name == "distal-raylet"]


def test_ctrl_c_and_sigterm_that_end_the_raylet_too_stay_what_they_are(end_raylet: Callable[[], None]) -> None:
    def be_terminated() -> None:
        try:
            sys.exit(143)
        finally:
            end_raylet()
            time.sleep(0.5)  # what workers take to end

    with pytest.raises(SystemExit, match="143"), watched():
        be_terminated()


def test_a_block_that_ends_leaves_no_thread_and_no_handler(end_raylet: Callable[[], None]) -> None:
    before = signal.getsignal(WAKE)
    with watched():
        assert signal.getsignal(WAKE) is not before
    end_raylet()
    assert signal.getsignal(WAKE) is before
    assert not [thread for thread in threading.enumerate() if thread.name == "distal-raylet"]


def test_another_thread_than_the_main_one_is_told_and_left_alone(
    end_raylet: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    ended = []

    def work() -> None:
        with watched():
            end_raylet()
            time.sleep(0.5)
        ended.append(True)

    thread = threading.Thread(target=work)
    with caplog.at_level(logging.ERROR):
        thread.start()
        thread.join()
    assert ended
    assert "distal resume" in caplog.text

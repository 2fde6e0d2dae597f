"""A thread that spends no CPU is hung, and it is said where; one that works, however long, is not."""

import subprocess
import sys
import time
from pathlib import Path

from distal.sweep.silence import watched


def test_a_thread_that_sleeps_is_hung_and_told_of_once() -> None:
    heard: list[str] = []
    with watched(0.2, heard.append):
        time.sleep(0.8)
    assert heard == ["outside distal"]


def test_a_thread_that_works_is_not_however_long_nor_one_that_has_left() -> None:
    heard: list[str] = []
    with watched(0.2, heard.append):
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            sum(range(1000))
            time.sleep(0.01)
    time.sleep(0.4)
    assert heard == []


HUNG = """
import sys, threading, time
from distal.data.cache import cache_lock
from distal.sweep import silence
from pathlib import Path

silence.LAST_WORDS_S = 0.2
def speak():
    print(where[0], flush=True)
    time.sleep(60)
where = []
def end(place):
    where.append(place)
    silence.end_process(speak)
import distal.data.cache
distal.data.cache._LOOK_S = 60.0
with cache_lock(Path(sys.argv[1]) / "lock"):
    with silence.watched(0.3, end):
        with cache_lock(Path(sys.argv[1]) / "lock"):
            print("never", flush=True)
"""


def test_a_process_ends_itself_with_the_line_it_hangs_in_even_where_its_last_words_hang(
    tmp_path: Path,
) -> None:
    ended = subprocess.run([sys.executable, "-c", HUNG, tmp_path], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout.startswith("in _wait_for (distal/data/cache.py, line ")
    assert "never" not in ended.stdout

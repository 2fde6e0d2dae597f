"""A thread that spends no CPU is hung, and it is said where; one that works, however long, is not."""

import subprocess
import sys
import time

from distal.sweep.silence import watched


def test_a_thread_that_sleeps_is_hung_and_told_of_once() -> None:
    heard: list[str] = []
    with watched(0.2, heard.append):
        time.sleep(0.8)
    assert heard == ["outside distal"]


def test_what_lies_in_another_folder_called_distal_is_outside_distal() -> None:
    heard: list[str] = []
    names = {"watched": watched, "heard": heard, "time": time}
    sleeps = "with watched(0.2, heard.append):\n    time.sleep(0.8)"
    exec(compile(sleeps, "/home/somebody/distal/examples/sleeps.py", "exec"), names)
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
import time
from distal.sweep import silence

silence.LAST_WORDS_S = 0.2

def speak():
    print(where[0], flush=True)
    time.sleep(60)

where = []
def end(place):
    where.append(place)
    silence.end_process(speak)

module = {}
exec(compile("import time\\ndef wait():\\n    time.sleep(60)", silence.PACKAGE + "data/hanging.py", "exec"), module)
with silence.watched(0.3, end):
    module["wait"]()
    print("never", flush=True)
"""


def test_a_process_ends_itself_with_the_line_it_hangs_in_even_where_its_last_words_hang() -> None:
    ended = subprocess.run([sys.executable, "-c", HUNG], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    assert ended.stdout == "in wait (distal/data/hanging.py, line 3)\n"

import os
import subprocess
import sys

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


@pytest.mark.skipif(sys.platform != "linux", reason="torch waits by libgomp on Linux alone")
@pytest.mark.parametrize(
    ("given", "spins"), [({}, "1000"), ({"OMP_WAIT_POLICY": "passive"}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7")]
)
def test_threads_that_wait_soon_leave_their_core_to_others_unless_told_otherwise(
    given: dict[str, str], spins: str
) -> None:
    inherited = {name: value for name, value in os.environ.items() if "OMP_" not in name}
    command = [sys.executable, "-c", "import distal.nets.threads"]
    environment = {**inherited, **given, "OMP_DISPLAY_ENV": "verbose"}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stderr
    assert f"GOMP_SPINCOUNT = '{spins}'" in told

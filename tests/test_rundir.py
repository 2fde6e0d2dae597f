"""A run directory: one driver at a time, rounds committed last, places that people can read."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.fs
import pytest

from distal.errors import RunError, RunLockedError, StorageError
from distal.run import leases
from distal.run.directory import RunDirectory, round_path, with_options

HOLD = """
import sys, time
from distal.run.directory import RunDirectory
with RunDirectory.open(sys.argv[1], "r").lock():
    print("held", flush=True)
    if len(sys.argv) > 2:
        import os
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
    time.sleep(30)
"""


@pytest.fixture(params=["local", "objects"])
def run(request, tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "SETTLE_S", 0.05)
    if request.param == "local":
        return RunDirectory.open(str(tmp_path), "r")
    return RunDirectory.on(pyarrow.fs._MockFileSystem(), "bucket", "r", "mock://bucket/r")


def holding(storage: Path, *more: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(storage), *more], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert child.stdout.readline() == "held\n"
    return child


def test_opening_creates_nothing(tmp_path):
    run = RunDirectory.open(str(tmp_path / "runs"), "r")
    assert not run.exists()
    assert run.committed() == []
    assert run.holder() is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_exists_once_its_configuration_is_written(run):
    run.write("config.yaml", b"seed: 1\n")
    assert run.exists()


def test_rounds_count_from_1_in_four_digits():
    assert round_path(7, "query.parquet") == "rounds/0007/query.parquet"
    assert round_path(12345) == "rounds/12345"
    with pytest.raises(RunError, match="no round 0"):
        round_path(0)


def test_committed_rounds_are_those_with_the_mark_in_numerical_order(run):
    for number in (11, *range(1, 11)):
        run.commit(number)
    run.write(round_path(12, "query.parquet"), b"")
    run.write("rounds/notes.txt", b"")
    assert run.committed() == list(range(1, 12))


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ({2: True}, "rounds/0001/COMMITTED"),
        ({1: True, 2: False, 3: True}, "rounds/0002/COMMITTED"),
        ({1: True, 2: False, 3: False}, "rounds/0002/COMMITTED"),
        ({1: True, 5: True}, "rounds/0002/COMMITTED"),
        ({1: True, 10**9: False}, "rounds/0002/COMMITTED"),
    ],
    ids=str,
)
def test_a_round_that_is_missing_before_another_is_named(run, there, missing):
    for number, done in there.items():
        run.write(round_path(number, "query.parquet"), b"")
        if done:
            run.commit(number)
    with pytest.raises(RunError, match=missing) as caught:
        run.committed()
    assert "Restore rounds/000" in str(caught.value)


@pytest.mark.parametrize("name", ["..", "", "a/b", ".hidden", "a b", "x" * 101, "a\n"])
def test_a_name_that_is_no_plain_name_is_refused(tmp_path, name):
    with pytest.raises(RunError, match="refused"):
        RunDirectory.open(str(tmp_path), name)


def test_a_file_uri_is_a_local_folder(tmp_path):
    run = RunDirectory.open((tmp_path / "a b").as_uri(), "r")
    assert run.local == tmp_path / "a b" / "r"


def test_an_unknown_scheme_is_refused_without_its_password():
    with pytest.raises(StorageError, match="cannot open storage zz://host/runs/r") as caught:
        RunDirectory.open("zz://me:secret@host/runs", "r")
    assert "secret" not in str(caught.value)
    assert str(caught.value).count("\n") <= 2


def test_a_uri_of_pyarrow_opens():
    run = RunDirectory.open("mock:///bucket/runs", "r")
    run.write("config.yaml", b"x")
    assert run.local is None
    assert run.uri == "mock:///bucket/runs/r"
    assert run.read("config.yaml") == b"x"


def test_the_run_itself_is_not_deleted(run):
    for path in ("", ".", "./"):
        with pytest.raises(StorageError, match="refused to delete the whole run"):
            run.delete(path)


def test_a_pickled_directory_opens_at_the_same_place_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sent = pickle.dumps(RunDirectory.open("runs", "r"))
    monkeypatch.chdir("/")
    assert pickle.loads(sent).local == tmp_path / "runs" / "r"  # noqa: S301


def test_the_second_driver_in_one_process_is_refused_and_told_who_holds(run):
    before = time.time()
    with run.lock():
        held = run.holder()
        with pytest.raises(RunLockedError) as caught, run.lock():
            pass
        with run.lock("evaluate"):
            pass
    assert held.pid == os.getpid()
    assert abs(held.since - before) < 5
    message = str(caught.value)
    assert f"process {os.getpid()} on {held.host} since" in message
    assert message.count("\n") <= 2
    assert run.holder() is None
    with run.lock():
        pass


def test_the_lock_is_given_back_when_the_work_fails(run):
    with pytest.raises(ValueError, match="x"), run.lock():
        raise ValueError("x")
    with run.lock():
        pass


@pytest.mark.parametrize("forked", [False, True])
def test_a_killed_driver_gives_the_lock_back_even_if_it_forked(tmp_path, forked):
    run = RunDirectory.open(str(tmp_path), "r")
    child = holding(tmp_path, *(["fork"] if forked else []))
    try:
        assert run.holder().pid == child.pid
        with pytest.raises(RunLockedError, match=f"process {child.pid} on"), run.lock():
            pass
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    with run.lock(wait_s=2.0):
        assert run.holder().pid == os.getpid()


def test_who_has_just_taken_a_lock_is_waited_for_to_write_who_that_is(tmp_path: Path) -> None:
    run = RunDirectory.open(str(tmp_path), "r")
    with run.lock():
        written = (tmp_path / "r" / ".lock-driver").read_bytes()
        (tmp_path / "r" / ".lock-driver").write_bytes(b"")
        late = threading.Timer(0.2, (tmp_path / "r" / ".lock-driver").write_bytes, [written])
        late.start()
        held = run.holder()
        late.join()
    assert held is not None
    assert held.pid == os.getpid(), "whoever kills process 0 kills its own process group"


def test_a_worker_that_begins_under_a_living_driver_clears_what_the_killed_one_left_half_written(tmp_path):
    run = RunDirectory.open(str(tmp_path), "run")
    run.write("rounds/0001/checkpoint/manifest.json", b"{}")
    folder = run.local / "rounds" / "0001" / "checkpoint"
    with run.lock("driver"):
        (folder / ".tmp-1-killed").write_bytes(b"ha")
        with run.lock("writer"):
            assert os.listdir(folder) == ["manifest.json"]


def test_waiting_gets_the_lock_when_it_is_given_back(tmp_path):
    run = RunDirectory.open(str(tmp_path), "r")
    child = holding(tmp_path)
    child.terminate()
    with run.lock(wait_s=10.0):
        pass
    child.wait()
    child.stdout.close()


def test_a_lock_file_that_holds_no_name_still_refuses(tmp_path):
    run = RunDirectory.open(str(tmp_path), "r")
    with run.lock():
        (tmp_path / "r" / ".lock-driver").write_bytes(b"{half")
        with pytest.raises(RunLockedError, match="held by another process"), run.lock():
            pass


def test_the_driver_clears_what_a_killed_writer_left(tmp_path):
    run = RunDirectory.open(str(tmp_path), "r")
    run.write("rounds/0001/x", b"")
    left = tmp_path / "r" / "rounds" / "0001" / ".tmp-9-dead"
    left.write_bytes(b"half")
    with run.lock():
        assert not left.exists()


def lease(beat: float) -> bytes:
    return json.dumps({"host": "other", "pid": 7, "since": beat, "token": "t", "beat": beat}).encode()


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.setattr(leases, "SETTLE_S", 0.01)
    monkeypatch.setattr(leases, "REFRESH_S", 0.05)
    return RunDirectory.on(pyarrow.fs._MockFileSystem(), "bucket", "r")


def test_a_lease_of_a_living_driver_refuses_and_a_stale_one_is_taken_over(remote):
    remote.write(".lock-driver", lease(time.time() - 30))
    with pytest.raises(RunLockedError, match="process 7 on other"), remote.lock():
        pass
    remote.write(".lock-driver", lease(time.time() - 61))
    with remote.lock():
        assert remote.holder().pid == os.getpid()
    assert not remote.has(".lock-driver")


def test_a_lease_is_refreshed_while_it_is_held(remote):
    with remote.lock():
        first = remote.holder().beat
        time.sleep(0.3)
        assert remote.holder().beat > first


def test_a_driver_whose_lease_was_taken_writes_nothing_more(remote):
    with remote.lock():
        remote._files.write(".lock-driver", lease(time.time()))
        time.sleep(0.3)
        with pytest.raises(RunLockedError, match="process 7 on other"):
            remote.write("x", b"")
    assert remote.holder().pid == 7
    assert not remote.has("x")


def test_a_rival_that_writes_last_wins_the_lease(remote, monkeypatch):
    monkeypatch.setattr(leases.time, "sleep", lambda _: remote._files.write(".lock-driver", lease(time.time())))
    with pytest.raises(RunLockedError, match="process 7 on other"), remote.lock():
        pass


def test_a_run_inside_another_folder_keeps_the_options_of_its_uri(tmp_path: Path) -> None:
    inside = RunDirectory.open(str(tmp_path), "sweep").inside("trials", "a")
    assert inside.local == tmp_path / "sweep" / "trials" / "a"
    outer = RunDirectory.open("mock:///sweeps?start=1", "sweep")
    assert outer.inside("trials", "a").storage == "mock:///sweeps/sweep/trials?start=1"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3://b/x", "s3://b/x?allow_delayed_open=true"),
        ("s3://b/x?region=eu", "s3://b/x?region=eu&allow_delayed_open=true"),
        ("s3://b/x?allow_delayed_open=false", "s3://b/x?allow_delayed_open=false"),
        ("gs://b/x", "gs://b/x?retry_limit_seconds=20"),
        ("hdfs://host/x", "hdfs://host/x"),
    ],
)
def test_pyarrow_is_told_what_suits_small_whole_files(given: str, told: str) -> None:
    assert with_options(given) == told


def test_every_lease_of_a_run_is_required_not_the_last_alone(remote) -> None:
    with remote.lock("driver"):
        with remote.lock("writer"):
            remote.write("a", b"")
            remote._files.write(".lock-driver", lease(time.time()))
            time.sleep(0.3)
            with pytest.raises(RunLockedError, match=r"process 7 on other .*\(lock: driver\)"):
                remote.write("b", b"")

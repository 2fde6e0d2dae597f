"""One driver at a time on an object store, by conditional writes to a real S3 server."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from buckets import S3Server

from distal.errors import RunLockedError, StorageError
from distal.run import leases
from distal.run.directory import RunDirectory
from distal.run.locks import Holder

pytestmark = pytest.mark.system

RIVALS = 8


@pytest.fixture
def run(s3: S3Server) -> RunDirectory:
    return RunDirectory.open(f"s3://{s3.bucket()}/runs", "r")


def other(beat: float, **more: Any) -> bytes:
    return json.dumps({"host": "other", "pid": 7, "since": beat, "token": "t", "beat": beat, **more}).encode()


def at_once(action: Callable[[], Any]) -> list[Any]:
    """Let many rivals act at one moment; return what each got, or its error."""
    start = threading.Barrier(RIVALS)

    def act(_: int) -> Any:
        start.wait()
        try:
            return action()
        except RunLockedError as error:
            return error

    with ThreadPoolExecutor(RIVALS) as rivals:
        return list(rivals.map(act, range(RIVALS)))


@pytest.fixture
def taken(run: RunDirectory) -> Iterator[Callable[[], str]]:
    """Return what takes the run's lock as a process of its own would; locks are given back at the end."""
    held = []

    def take() -> str:
        lock = RunDirectory.open(run.storage, run.name).lock()
        lock.__enter__()
        held.append(lock)
        return "held"

    yield take
    for lock in held:
        lock.__exit__(None, None, None)


@pytest.mark.parametrize("before", ["nothing", "a stale lease", "a lease given back", "no lease at all"])
def test_of_many_rivals_for_a_free_lock_exactly_one_wins(
    run: RunDirectory, taken: Callable[[], str], before: str
) -> None:
    stale = other(time.time() - leases.STALE_S - 1)
    content = {"a stale lease": stale, "a lease given back": b"{}", "no lease at all": b"half"}
    if before in content:
        run.write(".lock-driver", content[before])
    results = at_once(taken)
    assert results.count("held") == 1
    refused = [result for result in results if isinstance(result, RunLockedError)]
    assert len(refused) == RIVALS - 1
    assert all(f"held by process {os.getpid()} on" in str(error) for error in refused)


def test_a_lock_is_renewed_while_it_is_held_and_free_when_it_is_given_back(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "REFRESH_S", 0.05)
    with run.lock():
        first = run.holder()
        assert first is not None
        deadline = time.monotonic() + 30
        while (now := run.holder()) is None or now.beat == first.beat:
            assert time.monotonic() < deadline
        assert now.token == first.token
        with pytest.raises(RunLockedError, match=r"is held by process \d+ on .*\n.*\n.*if it is dead, in 60 s at most"):
            RunDirectory.open(run.storage, run.name).lock().__enter__()
    assert run.holder() is None
    with run.lock():
        pass


def test_a_holder_that_was_taken_over_while_it_was_paused_finds_out_before_it_writes_or_deletes(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = RunDirectory.open(run.storage, run.name)
    with run.lock():
        run.write("mine", b"1")
        monkeypatch.setattr(leases, "STALE_S", 0.0)
        with rival.lock():
            monkeypatch.setattr(leases, "TRUST_S", 0.0)  # long ago by the holder's own clock
            for action in (lambda: run.write("mine", b"2"), lambda: run.delete("mine")):
                with pytest.raises(RunLockedError, match="was taken over by process"):
                    action()
            rival.write("theirs", b"3")
    assert run.read("mine") == b"1"
    assert rival.read("theirs") == b"3"


def test_a_holder_that_nobody_took_over_goes_on_however_long_it_was_paused(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "TRUST_S", 0.0)
    with run.lock():
        run.write("a", b"1")
        run.write("a", b"2")
    assert run.read("a") == b"2"


def test_a_loser_does_not_give_back_the_winners_lock(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    rival = RunDirectory.open(run.storage, run.name)
    winner = rival.lock()
    with run.lock():
        monkeypatch.setattr(leases, "STALE_S", 0.0)
        winner.__enter__()
        monkeypatch.setattr(leases, "STALE_S", 60.0)
    assert rival.holder() is not None
    winner.__exit__(None, None, None)
    assert rival.holder() is None


def test_a_renewal_whose_reply_was_lost_is_taken_for_the_holders_own(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "TRUST_S", 0.0)
    with run.lock():
        seen = run.holder()
        assert seen is not None
        unheard = Holder(**{**vars(seen), "beat": seen.beat + 1})
        run._files.write(".lock-driver", unheard.to_bytes())
        run.write("a", b"1")


def test_a_lease_whose_process_has_died_on_this_machine_is_free_at_once(run: RunDirectory) -> None:
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    now = time.time()
    run.write(".lock-driver", other(now, pid=dead, machine=Holder.here().machine))
    assert run.holder() is None
    with run.lock():
        pass
    run.write(".lock-driver", other(now, pid=dead, machine="another kernel"))
    with pytest.raises(RunLockedError), run.lock():
        pass


def test_a_store_that_does_not_answer_stops_a_holder_whose_lease_is_old(
    run: RunDirectory, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run.lock():
        monkeypatch.setattr(leases, "TRUST_S", 0.0)
        with s3.spoiled("status", 403), pytest.raises(StorageError, match=r"cannot write .*lock-driver"):
            run.write("a", b"1")
        run.write("a", b"2")
    assert run.read("a") == b"2"

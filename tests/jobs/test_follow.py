"""Following a job through broken connections, against a server that breaks off where the test says."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from distal.errors import ClusterError
from distal.jobs import follow as module
from distal.jobs.follow import Transcript, follow
from distal.jobs.server import Job


class Server:
    """Send a text from its beginning at each connection, each time a little further, then say that the job ended."""

    address = "http://here"

    def __init__(self, *connections: list[str | Exception], pending: int = 0) -> None:
        self.connections = list(connections)
        self.pending = pending

    def job(self, job_id: str) -> Job:
        self.pending -= 1
        state = "PENDING" if self.pending >= 0 else "RUNNING" if self.connections else "SUCCEEDED"
        return Job(job_id, "run", "/r/run", state, "no node has 8 GPUs", None, None, None)

    async def tail(self, job_id: str) -> AsyncIterator[str]:
        for part in self.connections.pop(0):
            if isinstance(part, Exception):
                raise part
            yield part


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_S", 0.0)


def followed(server: Any) -> tuple[str, Job]:
    written: list[str] = []
    job = follow(server, "run-1", written.append)
    return "".join(written), job


def test_output_is_written_once_through_broken_connections() -> None:
    broken = ClusterError("broke off")
    text, job = followed(Server(["one\n", "tw", broken], ["one\nt", broken], [broken], ["one\ntwo\nthr", "ee\n"]))
    assert text == "one\ntwo\nthree\n"
    assert job.state == "SUCCEEDED"


def test_a_job_that_is_not_started_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PENDING_NOTICE_S", -1.0)
    text, _ = followed(Server(["done\n"], pending=3))
    assert text == "waiting: no node has 8 GPUs\ndone\n"


def test_a_server_that_stays_away_ends_the_following_and_not_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVE_UP_S", -1.0)
    with pytest.raises(ClusterError, match="The job may go on: distal jobs logs run-1 --follow"):
        followed(Server([ClusterError("gone")]))


def test_a_transcript_skips_what_it_has_however_it_is_cut() -> None:
    written: list[str] = []
    transcript = Transcript(written.append)
    for parts in (["ab"], ["a", "bc"], ["abcd", "ef"], ["abcdef"]):
        transcript.rewind()
        for part in parts:
            transcript.add(part)
    assert written == ["ab", "c", "d", "ef"]

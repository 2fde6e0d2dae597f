"""Follow a job's output to its end, through broken connections, without repeating or losing a line."""

import asyncio
import time
from collections.abc import Callable

from distal.errors import ClusterError
from distal.jobs.server import Job, JobServer

POLL_S = 1.0
PENDING_NOTICE_S = 10.0
"""How long a job may wait to be started before the reason is shown."""
GIVE_UP_S = 300.0
"""How long the server may be out of reach, as when the head node restarts, before following ends."""


class Transcript:
    """Write a text once that is sent again from its beginning at each connection."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._written = self._seen = 0

    def rewind(self) -> None:
        """Expect the text from its beginning."""
        self._seen = 0

    def add(self, text: str) -> None:
        """Write what of this part was not written before."""
        fresh = text[max(0, self._written - self._seen) :]
        self._seen += len(text)
        self._written = max(self._written, self._seen)
        if fresh:
            self._write(fresh)


def follow(server: JobServer, job_id: str, write: Callable[[str], object]) -> Job:
    """Write the job's output as it comes, and return the job once it has ended.

    Raises:
        ClusterError: the server was out of reach for too long; the job goes on without being followed.
    """
    transcript = Transcript(write)
    reached = time.monotonic()
    while True:
        try:
            _await_start(server, job_id, write)
            asyncio.run(_copy(server, job_id, transcript))
            job = server.job(job_id)
            if not job.alive:
                return job
            reached = time.monotonic()
        except ClusterError as error:
            if time.monotonic() - reached > GIVE_UP_S:
                raise ClusterError(
                    f"job {job_id} could not be followed for {GIVE_UP_S:g} s: {str(error).splitlines()[0]}\n"
                    f"The job may go on: distal jobs logs {job_id} --follow"
                ) from None
        time.sleep(POLL_S)


def _await_start(server: JobServer, job_id: str, write: Callable[[str], object]) -> None:
    began, shown = time.monotonic(), ""
    while (job := server.job(job_id)).state == "PENDING":
        if time.monotonic() - began > PENDING_NOTICE_S and job.message != shown:
            shown = job.message
            write(f"waiting: {shown}\n")
        time.sleep(POLL_S)


async def _copy(server: JobServer, job_id: str, transcript: Transcript) -> None:
    transcript.rewind()
    async for text in server.tail(job_id):
        transcript.add(text)

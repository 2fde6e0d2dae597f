"""Talk with a cluster's job server over HTTP: submit once, list, look, stop."""

import logging
import os
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

import distal
from distal.driver.cluster import token_advice
from distal.errors import ClusterError, ConfigError
from distal.jobs.handed import HANDED_FILE, JOB_FILE, SETUP_HOOK

if TYPE_CHECKING:
    from distal.jobs.parcel import Parcel  # which checks configurations, and so imports torch: 2 s

ENTRYPOINT = f"python -m distal jobs execute {JOB_FILE}"
LIVING = frozenset((JobStatus.PENDING, JobStatus.RUNNING))
KIND, PLACE = "distal-kind", "distal-place"
DEFAULT_ADDRESS = "http://127.0.0.1:8265"

for _chatty in ("modules.job.sdk", "modules.dashboard_sdk"):
    logging.getLogger(f"ray.dashboard.{_chatty}").setLevel(logging.WARNING)
logging.getLogger("ray._private.runtime_env.packaging").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Needs:
    """State what the job's own process, the driver, asks of the cluster; nothing puts it on the head node."""

    cpus: float | None = None
    gpus: float | None = None
    memory_gib: float | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Job:
    """Show one job. kind, place: of the run or sweep; state: Ray's; exit_code: the process's, None where unknown."""

    id: str
    kind: str
    place: str
    state: str
    message: str
    started: datetime | None
    ended: datetime | None
    exit_code: int | None

    @property
    def alive(self) -> bool:
        """Say whether it runs or waits to run."""
        return self.state in LIVING


class JobServer:
    """Reach the job server of one cluster.

    Args:
        address: http://host:port of the cluster's dashboard; None takes RAY_API_SERVER_ADDRESS, else this machine's.

    Raises:
        ClusterError: nobody answers there, the token is missing or refused, or ray[default] is not installed here.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = _http_address(address or os.environ.get("RAY_API_SERVER_ADDRESS") or DEFAULT_ADDRESS)
        os.environ["RAY_API_SERVER_ADDRESS"] = self.address  # Ray lets this variable win over what it is told
        with self._explained():
            self._client = JobSubmissionClient(self.address)

    def submit(
        self,
        parcel: "Parcel",
        folder: Path,
        needs: Needs,
        environment: Mapping[str, Any],
        send_distal: bool = False,
        again: bool = False,
    ) -> tuple[str, bool]:
        """Start the parcel's job unless one of its name is alive; return its id, and whether it was started now.

        A run that was sent before and ended is continued by a new job, numbered after the old one.

        Args:
            folder: what `staged` made. environment: keys of Ray's runtime_env, such as pip. again: start a job even
                where Ray lists one as alive, as it may for a job that went with its head node; the run's lock keeps
                two drivers apart in any case.
        """
        numbers = {self._number(job.id, parcel): job for job in self.jobs() if self._number(job.id, parcel)}
        last = max(numbers, default=0)
        if last and numbers[last].alive and not again:
            return numbers[last].id, False
        job_id = f"{parcel.job}-{last + 1}"
        own: dict[str, Any] = {"working_dir": str(folder)}
        if send_distal:
            own["py_modules"] = [str(Path(distal.__file__).parent)]
        if (folder / HANDED_FILE).exists():
            own["worker_process_setup_hook"] = SETUP_HOOK
        with self._explained():
            try:
                self._client.submit_job(
                    entrypoint=ENTRYPOINT,
                    submission_id=job_id,
                    runtime_env={**environment, **own},
                    metadata={KIND: parcel.kind, PLACE: parcel.place},
                    entrypoint_num_cpus=needs.cpus,
                    entrypoint_num_gpus=needs.gpus,
                    entrypoint_label_selector=dict(needs.labels) if needs.labels else None,
                    entrypoint_memory=None if needs.memory_gib is None else int(needs.memory_gib * 2**30),
                )
            except RuntimeError as error:
                if "already exists" not in str(error):
                    raise
                return job_id, False  # somebody sent the same at the same moment: one of us starts it
        return job_id, True

    def jobs(self) -> list[Job]:
        """Return the jobs that `distal submit` sent, oldest first."""
        with self._explained():
            details = self._client.list_jobs()
        jobs = [_job(d) for d in details if d.submission_id and KIND in (d.metadata or {})]
        return sorted(jobs, key=lambda job: (job.started is None, job.started, job.id))

    def job(self, name: str) -> Job:
        """Return a job by its id, or the last one of a run's or sweep's name.

        Raises:
            ClusterError: there is none, or the name stands for several runs.
        """
        jobs = self.jobs()
        exact = [job for job in jobs if job.id == name]
        named = exact or [job for job in jobs if job.place.rpartition("/")[2] == name]
        if not named:
            known = ", ".join(job.id for job in jobs[-5:]) or "none"
            raise ClusterError(f"no job '{name}' on {self.address}.\nThe last ones: {known}. See: distal jobs list")
        if len({job.place for job in named}) > 1:
            ids = ", ".join(job.id for job in named[-5:])
            raise ClusterError(f"'{name}' is the name of several runs.\nSay which job: {ids}")
        return named[-1]

    def stop(self, job_id: str) -> None:
        """Ask a job to end; what it has committed and every label answered is kept."""
        with self._explained():
            self._client.stop_job(job_id)

    def output(self, job_id: str) -> str:
        """Return what the job has printed so far."""
        with self._explained():
            return str(self._client.get_job_logs(job_id))

    async def tail(self, job_id: str) -> AsyncIterator[str]:
        """Yield the job's output from its beginning until it ends.

        Raises:
            ClusterError: the connection broke.
        """
        import aiohttp  # part of ray[default]; without it the constructor has said what to install

        try:
            async for text in self._client.tail_job_logs(job_id):
                yield text
        except (aiohttp.ClientError, RuntimeError, OSError) as error:
            raise ClusterError(f"{self.address} broke off the output of {job_id}: {error}") from None

    @staticmethod
    def _number(job_id: str, parcel: "Parcel") -> int:
        found = re.fullmatch(rf"{re.escape(parcel.job)}-(\d+)", job_id)
        return int(found[1]) if found else 0

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except AuthenticationError as error:
            what = "refuses this token" if "nvalid" in str(error).partition("\n")[0] else "asks for a token"
            raise ClusterError(f"--address: {self.address} {what}.\n{token_advice()}") from None
        except (ConnectionError, OSError) as error:
            raise ClusterError(
                f"--address: no Ray dashboard answers at {self.address} ({type(error).__name__}).\n"
                "Start a cluster (cluster/README.md), or open a tunnel to its head: ssh -L 8265:127.0.0.1:8265 head"
            ) from None
        except RuntimeError as error:
            said = " ".join(str(error).split())[:300]
            hint = "pip install 'ray[default]'" if "ray[default]" in said else "see the dashboard, or 'ray status'"
            raise ClusterError(f"--address: {self.address} refused: {said}\n{hint}") from None


def _http_address(given: str) -> str:
    address = given if "://" in given else f"http://{given}"
    if not re.fullmatch(r"https?://[^/\s]+/?", address):
        raise ConfigError(
            f"--address: '{given}' is not the address of a job server.\n"
            "Give the dashboard's, such as http://127.0.0.1:8265; ray:// and GCS addresses are for driver scripts."
        )
    return address.rstrip("/")


def _job(details: JobDetails) -> Job:
    metadata = details.metadata or {}
    return Job(
        id=details.submission_id,
        kind=metadata[KIND],
        place=metadata.get(PLACE, ""),
        state=str(details.status.value),
        message=" ".join((details.message or "").partition(", last available logs")[0].split()),
        started=_time(details.start_time),
        ended=_time(details.end_time),
        exit_code=details.driver_exit_code,
    )


def _time(milliseconds: int | None) -> datetime | None:
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000, timezone.utc)

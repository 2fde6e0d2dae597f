"""Send runs and sweeps to a cluster, and look after them there."""

import os
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distal.cli.output import log_to_stderr, printable, show
from distal.cli.runs import open_run, split_arguments
from distal.errors import ConfigError

if TYPE_CHECKING:
    from distal.jobs.server import Job, JobServer

JobArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN.yaml|SWEEP.yaml|KEY=VALUE", help="What `distal run` or `distal tune` would be given."),
]
Address = Annotated[
    str | None,
    typer.Option(help="The cluster's dashboard, http://host:8265; default RAY_API_SERVER_ADDRESS, then this machine."),
]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, or the name of its run or sweep.")]


def submit(
    arguments: JobArguments = None,
    address: Address = None,
    working_dir: Annotated[str | None, typer.Option(help="A folder with your own modules, sent along.")] = None,
    runtime_env: Annotated[
        str | None, typer.Option(help="A YAML file with keys of Ray's runtime_env (pip, ...).")
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(help="An environment variable to hand over, by its name; repeat it.")
    ] = None,
    cpus: Annotated[
        float | None, typer.Option(min=0, help="CPUs of the job's own process; without, it lies on the head node.")
    ] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="GPUs of the job's own process.")] = None,
    memory: Annotated[float | None, typer.Option(min=0, help="GiB of memory of the job's own process.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE that the node of the job's own process has; repeat it.")
    ] = None,
    send_distal: Annotated[
        bool, typer.Option("--send-distal", help="Send this distal along, to a cluster that has Ray and torch alone.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Start a job even if Ray lists one of this run as alive: the head was lost.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not follow the job's output.")] = False,
) -> None:
    """Run `distal run` or `distal tune` on a Ray cluster, as a job, and follow it.

    The configuration is checked here. Sent twice, the same run is followed, not started twice; sent again after it
    ended or failed, it goes on where it stopped. Storage and pool are URIs or folders that all nodes share.

    \b
        distal submit run.yaml storage=s3://bucket/runs --address http://127.0.0.1:8265 --env AWS_PROFILE
        distal submit sweep.yaml --cpus 1 --detach
    """
    from distal.jobs.parcel import pack, staged
    from distal.jobs.server import JobServer, Needs

    parcel = pack(*split_arguments(arguments), cpus or 0.0)
    environment = _environment(runtime_env)
    variables = _variables(env or [])
    server = JobServer(address)
    needs = Needs(cpus, gpus, memory, _labels(label or []))
    with staged(parcel, working_dir, variables) as folder:
        job_id, new = server.submit(parcel, folder, needs, environment, send_distal, again)
    state = "started" if new else "is alive already"
    show(f"job {job_id}: {state} on {server.address}; its {parcel.kind} lies in {parcel.place}")
    if detach:
        show(f"follow it by: distal jobs logs {job_id} --follow")
    else:
        _follow(server, job_id)


def list_jobs(address: Address = None) -> None:
    """List the jobs sent by distal: state, duration, and where their files lie."""
    from distal.jobs.server import JobServer

    jobs = JobServer(address).jobs()
    width = max((len(job.id) for job in jobs), default=0)
    for job in jobs:
        show(f"{job.id:<{width}}  {job.state:<9}  {_duration(job):>9}  {job.kind:<5}  {job.place}")
    if not jobs:
        show("no jobs; send one with: distal submit")


def status(name: JobName, address: Address = None) -> None:
    """Show one job, and how far its run is if its files can be read from here."""
    from distal.cli.status import describe_status
    from distal.jobs.server import JobServer

    job = JobServer(address).job(name)
    code = "" if job.exit_code is None else f" (exit code {job.exit_code})"
    show(f"{job.id}: {job.state}{code} for {_duration(job)}\n{job.message}\n{job.kind}: {job.place}")
    if job.kind == "run" and (run := open_run(job.place)).has("config.yaml"):
        show(describe_status(run))


def logs(
    name: JobName,
    address: Address = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until the job ends.")] = False,
) -> None:
    """Print a job's output."""
    from distal.jobs.server import JobServer

    server = JobServer(address)
    job = server.job(name)
    if follow:
        _follow(server, job.id)
    else:
        _write(server.output(job.id))


def stop(name: JobName, address: Address = None) -> None:
    """Stop a job; committed rounds and answered labels are kept, and submitting it again goes on."""
    from distal.jobs.server import JobServer

    server = JobServer(address)
    job = server.job(name)
    if job.alive:
        server.stop(job.id)
    show(f"{job.id}: {'asked to stop' if job.alive else f'has ended before ({job.state})'}")


def execute(path: Annotated[str, typer.Argument(help="The file that `distal submit` wrote.")]) -> None:
    """Do what was sent, on the cluster."""
    from distal.cli.runs import run_config
    from distal.cli.sweeps import run_sweep_config
    from distal.config import Config
    from distal.jobs.handed import take
    from distal.jobs.parcel import unpack
    from distal.run.directory import RunDirectory
    from distal.sweep.resolve import SWEEP

    take()
    log_to_stderr()  # as the variables that were handed over ask for
    sent = unpack(Path(path))
    if isinstance(sent, Config):
        run_config(sent)
    else:
        run_sweep_config(sent, resume=RunDirectory.open(sent.storage, sent.name).has(SWEEP))


def _environment(path: str | None) -> dict[str, Any]:
    """Return the keys of Ray's runtime_env that the file has."""
    from distal.tree import read_yaml

    environment = {} if path is None else read_yaml(Path(path))
    if "working_dir" in environment:
        raise ConfigError("--runtime-env: working_dir is sent by --working-dir.\nTake the key out of the file.")
    return environment


def _labels(given: list[str]) -> dict[str, str]:
    labels = dict(text.partition("=")[::2] for text in given)
    if not all(labels.values()):
        raise ConfigError(
            f"--label: {' '.join(given)} is not KEY=VALUE.\nFor example: --label ray.io/market-type=on-demand"
        )
    return labels


def _variables(names: list[str]) -> dict[str, str]:
    """Return the variables of this shell that are asked for by name."""
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise ConfigError(f"--env: {', '.join(missing)} is not set here.\nSet it in this shell, or leave it out.")
    return {name: os.environ[name] for name in names}


def _follow(server: "JobServer", job_id: str) -> None:
    from distal.jobs.follow import follow

    try:
        job = follow(server, job_id, _write)
    except KeyboardInterrupt:
        _ask_to_stop(server, job_id)
        raise typer.Exit(130) from None
    if job.state != "SUCCEEDED":
        show(f"job {job_id}: {job.state}. {job.message}\nSubmit it again to go on from the last committed round.")
        raise typer.Exit(job.exit_code if job.exit_code and job.exit_code > 0 else 1)


def _ask_to_stop(server: "JobServer", job_id: str) -> None:
    if sys.stdin.isatty() and typer.confirm(f"\nStop job {job_id} as well?", default=False):
        server.stop(job_id)
        show(f"{job_id}: asked to stop")
    else:
        show(
            f"{job_id} goes on; follow it by: distal jobs logs {job_id} --follow; end it by: distal jobs stop {job_id}"
        )


def _write(text: str) -> None:
    sys.stdout.write(printable(text))
    sys.stdout.flush()


def _duration(job: "Job") -> str:
    if job.started is None:
        return "-"
    seconds = int(((job.ended or datetime.now(timezone.utc)) - job.started).total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

"""cluster/slurm.sh with stand-ins for Slurm, Ray and distal: who is started how, and that nothing is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "cluster" / "slurm.sh"
LIMIT_S = 30

STAND_INS = {
    # Slurm: three nodes, every step on this machine.
    "scontrol": "printf '127.0.0.1\\n127.0.0.2\\n127.0.0.3\\n'",
    "srun": """echo "$*" >>"$NOTES/srun"; while [[ $1 == -* ]]; do shift; done; exec "$@" """,
    # Ray: a node is a process that waits for its end.
    "ray": """
        [[ $1 == health-check ]] && exit
        echo "$*" >>"$NOTES/ray"; echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" >>"$NOTES/tokens"
        [[ -e $NOTES/head-fails ]] && { echo 'no room' >&2; exit 3; }
        echo $$ >>"$NOTES/pids"; exec sleep 600""",
    "distal": """
        echo "$*" >>"$NOTES/distal"; echo "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" >>"$NOTES/tokens"; echo $$ >>"$NOTES/pids"
        [[ -e $NOTES/run-waits ]] && exec sleep 600
        exit "$(cat "$NOTES/status" 2>/dev/null || echo 0)" """,
}
RAY_MODULE = """
def init(address, **options): ...
def nodes(): return [{"Alive": True}] * 3
"""


class Job:
    """One Slurm job on stand-ins; they note what they are given in `notes`."""

    def __init__(self, folder: Path) -> None:
        self.notes = folder
        (folder / "bin").mkdir()
        for name, body in STAND_INS.items():
            (folder / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
            (folder / "bin" / name).chmod(0o755)
        (folder / "bin" / "python").symlink_to(sys.executable)
        (folder / "ray.py").write_text(RAY_MODULE)
        (folder / "pids").touch()

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        given = {
            "PATH": f"{self.notes / 'bin'}:/usr/bin:/bin",
            "NOTES": str(self.notes),
            "PYTHONPATH": str(self.notes),
            "SLURM_JOB_ID": "1234567",
            "SLURM_JOB_NODELIST": "127.0.0.[1-3]",
            "SLURM_CPUS_PER_TASK": "8",
            **environment,
        }
        return subprocess.Popen(
            [SCRIPT, *arguments], env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        _, errors = process.communicate(timeout=LIMIT_S)
        return process.returncode, errors

    def lines(self, name: str) -> list[str]:
        path = self.notes / name
        return path.read_text().splitlines() if path.exists() else []

    def left(self) -> list[str]:
        """List the stand-ins' processes that still live."""
        return [pid for pid in self.lines("pids") if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_the_run_gets_what_was_given_and_the_address_of_the_head(job: Job) -> None:
    status, errors = job.run("run.yaml", "name=with space", "storage=/shared")

    assert status == 0, errors
    assert job.lines("distal") == ["run run.yaml name=with space storage=/shared address=127.0.0.1:23134"]


def test_one_head_is_started_and_a_worker_on_every_other_node(job: Job) -> None:
    job.run("run.yaml")

    *steps, clearing = job.lines("srun")
    head, workers = sorted(steps, key=lambda step: "--head" not in step)  # they start side by side
    assert "--nodes=1 --nodelist=127.0.0.1 ray start --block" in head
    assert (
        "--head --node-ip-address=127.0.0.1 --port=23134 --ray-client-server-port=23135 --include-dashboard=false"
        in head
    )
    assert "--nodes=2 --nodelist=127.0.0.2,127.0.0.3 ray start --block" in workers
    assert "--address=127.0.0.1:23134" in workers
    assert clearing.endswith("--nodes=3 rm -rf /tmp/ray-1234567")
    assert all("--cpus-per-task=8" in step for step in (head, workers))
    assert all("--num-cpus=8" in start for start in job.lines("ray"))


def test_ray_start_knows_every_option_that_it_is_given(job: Job) -> None:
    from ray.scripts.scripts import start

    job.run("run.yaml")

    for line in job.lines("ray"):
        start.make_context("start", line.removeprefix("start ").split())  # parses, starts nothing


def test_all_share_one_token_that_is_new_for_each_job_and_on_no_command_line(tmp_path: Path) -> None:
    tokens = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        job = Job(tmp_path / name)
        job.run("run.yaml")
        [seen] = set(job.lines("tokens"))
        mode, _, token = seen.partition(" ")
        assert mode == "token"
        assert len(token) == 64
        assert not any(token in line for file in ("srun", "ray", "distal") for line in job.lines(file))
        tokens.append(token)
    assert tokens[0] != tokens[1]


def test_no_node_outlives_the_run_and_its_status_is_the_jobs(job: Job) -> None:
    (job.notes / "status").write_text("7")

    status, _ = job.run("run.yaml")

    assert status == 7
    assert len(job.lines("pids")) == 3
    assert job.left() == []
    assert not any("rm -rf" in step for step in job.lines("srun")), "the logs of a failure stay"


def test_slurms_warning_before_the_limit_ends_the_run_and_the_nodes(job: Job) -> None:
    (job.notes / "run-waits").touch()
    process = job.start("run.yaml")
    deadline = time.monotonic() + LIMIT_S
    while len(job.lines("pids")) < 3 or not job.lines("distal"):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(job.left()) == 3

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=LIMIT_S)

    assert process.returncode == 143
    assert job.left() == []


def test_a_head_that_does_not_start_ends_the_job_at_once(job: Job) -> None:
    (job.notes / "head-fails").touch()
    (job.notes / "bin" / "ray").write_text(
        f"#!/bin/bash\n[[ $1 == health-check ]] && {{ sleep 0.3; exit 1; }}\n{STAND_INS['ray']}\n"
    )

    status, errors = job.run("run.yaml")

    assert status == 1
    assert "slurm.sh: the head ended before it was ready" in errors
    assert job.lines("distal") == []


def test_it_says_what_is_missing_before_it_starts_anything(job: Job) -> None:
    assert "start this with sbatch" in job.run("run.yaml", SLURM_JOB_ID="")[1]
    assert "nothing to run" in job.run()[1]
    os.unlink(job.notes / "bin" / "distal")
    assert "'distal' is not on PATH" in job.run("run.yaml")[1]
    assert job.lines("srun") == []


def test_slurm_warns_the_script_itself_before_the_limit_and_may_requeue_it() -> None:
    directives = [line for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH")]

    assert "#SBATCH --signal=B:TERM@120" in directives
    assert "#SBATCH --requeue" in directives
    before_commands = SCRIPT.read_text().partition("\nset -")[0]
    assert all(directive in before_commands for directive in directives), "sbatch reads them up to the first command"

"""A run of two short rounds with a label function, in a driver process of its own: what it writes, when it ends."""

import json
import multiprocessing
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import ray
import yaml
from crash_driver import drive
from shared_extractor import share_extractor

from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger

BATCH = 6
ROUNDS = 2
END_S = 60.0
"""How long a process may take to be gone: far more than it needs on a busy machine."""


def tree(storage: Path, shards: int = 0, workers: int = 0) -> dict[str, Any]:
    """Describe a run of two rounds that trains in seconds and reports every 20 of its 60 steps.

    shards: none where nothing is said of them, for an actor takes 2 s of CPU to start; workers need one.
    """
    share_extractor(storage)
    return {
        "name": "run",
        "storage": str(storage),
        "rounds": ROUNDS,
        "pool": {"shards": max(shards, min(1, workers))},
        "query": {"strategy": "margin", "batch": BATCH},
        "train": {"steps": 60, "batch_size": 16, "threads": 1, "workers": workers},
        "evaluate": {"samples": 64, "reference": 200},
    }


def final_files(storage: Path) -> dict[str, Any]:
    """Return every file of the run by its path: bytes, or without wall-clock fields, place and number of workers."""
    root = storage / "run"
    files: dict[str, Any] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".lock-")):
        content: Any = path.read_bytes()
        if path.name == "report.html":
            content = "a report"
        elif path.name == "metrics.json":
            content = {k: v for k, v in json.loads(content).items() if k != "seconds"}
        elif path.name == "labels.parquet":
            content = pq.read_table(path).drop_columns(["time"]).to_pylist()
        elif path.name == "COMMITTED":
            content = json.loads(content)["sha256"]
            del content["metrics.json"], content["labels.parquet"]  # they hold wall-clock fields
        elif path.name == "config.yaml":
            content = yaml.safe_load(content)
            del content["resolved"]["digest"], content["resolved"]["shards"]
            del content["storage"], content["train"]["workers"], content["pool"]["shards"]
        files[str(path.relative_to(root))] = content
    return files


def require_same(storage: Path, expected: dict[str, Any]) -> None:
    """Require the files of the run to be the expected ones, no more and no fewer."""
    found = final_files(storage)
    assert sorted(found) == sorted(expected)
    assert [path for path in expected if found[path] != expected[path]] == []


def require_asked_once(storage: Path) -> None:
    """Require the label function's own notes to name every row of the run, each once."""
    noted = Counter(int(line) for line in (storage / "asked").read_text().split())
    assert sorted(noted) == Ledger(run_of(storage)).asked().tolist()
    assert max(noted.values()) == 1
    assert noted.total() == ROUNDS * BATCH


def run_of(storage: Path) -> RunDirectory:
    return RunDirectory.open(str(storage), "run")


def driver(storage: Path, crash: str, shards: int = 0, workers: int = 0, own_ray: bool = False) -> Any:
    """Start a driver process; it is forked from one that has distal imported, which saves seconds each."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["crash_driver"])
    address = None if own_ray else ray.get_runtime_context().gcs_address
    arguments = (tree(storage, shards, workers), str(storage / "asked"), crash, address)
    process = processes.Process(target=drive, args=arguments)
    process.start()
    return process


def killed(process: Any) -> bool:
    process.join(200)
    return bool(process.exitcode == -signal.SIGKILL)


def ray_processes(title: str) -> list[psutil.Process]:
    """Return the workers of this test session's Ray whose title has these words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if re.match(rf"ray::.*{title}", " ".join(process.cmdline())):
                found.append(process)
        except psutil.Error:  # it ended while we looked
            continue
    return found


def alive(process: psutil.Process) -> bool:
    """Say whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(true: Callable[[], object], what: str, seconds: float = END_S) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain until {what}"
        time.sleep(0.1)

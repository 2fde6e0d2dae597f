"""A Ray cluster of separate raylets on this machine, started by cluster/local.sh, whose nodes can be killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from small_pools import write_extractor

SCRIPT = Path(__file__).parents[2] / "cluster" / "local.sh"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class LocalCluster:
    """Start and kill nodes by name.

    said: by `local.sh start`. environment: what a shell that submits needs, the token among it.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.said = ""
        dashboard = free_port()
        self.address = f"http://127.0.0.1:{dashboard}"
        self._script_settings = {
            "DISTAL_CLUSTER": str(folder),
            "PORT": str(free_port()),
            "DASHBOARD_PORT": str(dashboard),
            "PYTHON": sys.executable,
            "OMP_NUM_THREADS": "1",
            **settings,
        }
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RAY_")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_API_SERVER_ADDRESS": self.address,
        }

    def do(self, *arguments: str, **settings: str) -> str:
        """Run cluster/local.sh and return what it says."""
        environment = {**os.environ, **self._script_settings, **settings}
        done = subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kill(self, name: str) -> None:
        """Kill a node at once, as `local.sh kill` does, and sooner."""
        file = self.folder / f"{name}.pid"
        os.killpg(int(file.read_text()), signal.SIGKILL)
        file.unlink()

    def runs(self, name: str) -> bool:
        """Say whether a node's process is there."""
        try:
            return psutil.Process(int((self.folder / f"{name}.pid").read_text())).status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, FileNotFoundError):
            return False

    def distal(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run distal's command line as from the shell of somebody who submits."""
        command = [sys.executable, "-m", "distal", *arguments]
        environment = {**self.environment, **settings}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)

    def node_of(self, title: str) -> str | None:
        """Return the name of a worker node that runs a Ray process of this title, None if there is none."""
        for file in sorted(self.folder.glob("*.pid")):
            try:
                processes = psutil.Process(int(file.read_text())).children(recursive=True)
                if file.stem != "head" and any(re.match(rf"ray::.*{title}", " ".join(p.cmdline())) for p in processes):
                    return file.stem
            except (psutil.Error, FileNotFoundError):  # it ended while we looked
                continue
        return None


def cluster_tree(folder: Path, decoded: Path, steps: int, samples: int) -> dict[str, Any]:
    """Describe two rounds on two shards and a worker, labeled by the data set, scored by features that cost nothing."""
    return {
        "name": "run",
        "rounds": 2,
        "pool": {"shards": 2, "cache": str(decoded)},
        "query": {"strategy": "margin", "batch": 6},
        "train": {"steps": steps, "batch_size": 16, "threads": 1, "workers": 1},
        "evaluate": {
            "samples": samples,
            "reference": 200,
            "extractor": "inception",
            "extractor_path": str(write_extractor(folder / "extractor.pt")),
        },
    }


def in_one_process(tree: dict[str, Any], storage: Path) -> dict[str, Any]:
    """Describe the same run without Ray, which writes the same."""
    pool, train = {**tree["pool"], "shards": 0}, {**tree["train"], "workers": 0}
    return {**tree, "storage": str(storage), "pool": pool, "train": train}


@contextmanager
def local_cluster(workers: int, **settings: str) -> Iterator[LocalCluster]:
    """Run a head and some workers; the folder's name is short, for Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="dc", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = LocalCluster(Path(folder), **settings)
        try:
            cluster.said = cluster.do("start", str(workers))
            yield cluster
        finally:
            cluster.do("stop")

"""Shared by all tests: one local Ray for the session, and a small configuration that trains in seconds."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partialmethod
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import pytest
from shared_extractor import share_extractor

from distal.config import Config
from distal.resolve import make_config

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from forked_workers import forked_workers

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_prestart_worker_first_driver", "0")  # processes that nobody may use take half a second each
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # a test that uses Ray by mistake is told, and starts none

RUN_NUMBERS = itertools.count(1)

LONGEST = (
    "test_cluster_jobs",
    "test_interruptions",
    "test_kills",
    "test_lost_nodes",
    "test_s3_runs",
    "test_sweep_interruptions",
    "test_sweeps",
    "test_documentation",
    "test_fit",
    "test_workers",
)
"""The files that take a minute and more, the longest first: one that begins last is waited for alone."""


def pytest_configure() -> None:
    """Give each test process a temporary folder, so that two side by side do not see what the other leaves behind.

    Its name is short because Ray's sockets lie in it, and a socket's path has at most 107 characters.
    """
    folder = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="dt", dir="/tmp")
    tempfile.tempdir = None
    # By multiprocessing's own list, whose last entry removes a folder of its own in this one.
    Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-1000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take minutes, so that all processes end at about the same time."""
    rank = {f"{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (item.get_closest_marker("system") is None, rank.get(item.path.name, len(rank))))


@pytest.fixture(scope="session")
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start Ray once for all tests of the session that need it; its processes have a cache of their own.

    Its workers are forked from one process, for each by itself would import for five seconds of a core. Those of the
    clusters and of the commands that tests start are Ray's usual ones.
    """
    import ray
    import ray._private.parameter
    import ray._private.utils

    parameters = ray._private.parameter.RayParams
    unseen = partialmethod(parameters.__init__, include_log_monitor=False, no_monitor=True)
    before = os.environ.get("XDG_CACHE_HOME")
    modules = ("distal.driver.launch", "distal.report.write", "distal.sweep.trial")
    with forked_workers(Path(tempfile.gettempdir()), *modules) as command, pytest.MonkeyPatch.context() as patch:
        # Nobody looks: no log is sent on, nothing scales, and the agents are those of a Ray without its "default".
        patch.setattr(parameters, "__init__", unseen)
        patch.setattr(ray._private.utils, "get_dashboard_dependency_error", lambda: ImportError("nobody looks"))
        os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("node"))
        ray.init(
            "local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=2**27,
            runtime_env={"py_executable": command},
        )
        patch.undo()
        os.environ.pop("XDG_CACHE_HOME")
        os.environ |= {} if before is None else {"XDG_CACHE_HOME": before}
        yield
        ray.shutdown()


@pytest.fixture(scope="session")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Share one folder of decoded images among the tests."""
    return tmp_path_factory.mktemp("decoded")


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Share one storage among the tests, so that the extractor is trained once."""
    folder = tmp_path_factory.mktemp("runs")
    share_extractor(folder)
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system that has room for one round, not for two."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "none", place], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture
def small_config(storage: Path, decoded: Path) -> Callable[..., Config]:
    """Make configurations of a tiny run on the embedded digits, one run name a test; sections are given as mappings."""
    run_name = f"run-{next(RUN_NUMBERS)}"

    def make(**sections: Any) -> Config:
        tree: dict[str, Any] = {
            "name": run_name,
            "storage": str(storage),
            "rounds": 2,
            "pool": {"cache": str(decoded)},
            "query": {"batch": 10},
            "train": {"steps": 4, "batch_size": 16, "threads": 1},
            "evaluate": {"samples": 64, "reference": 200},
        }
        for name, value in sections.items():
            tree[name] = {**tree.get(name, {}), **value} if isinstance(value, dict) else value
        return make_config(tree)

    return make

"""Pack a run or a sweep for a cluster: checked here, complete in one file, the same there.

A job is named after what it works on, so that sending the same run twice finds the first instead of starting a second.
"""

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from distal.config import Config
from distal.errors import ClusterError, ConfigError
from distal.jobs.handed import JOB_FILE, lay
from distal.places import places
from distal.resolve import make_config, read_config
from distal.sweep.config import SweepConfig
from distal.sweep.resolve import check_sweep, make_sweep, read_sweep
from distal.tree import apply_override, read_yaml
from distal.version import __version__

SWEEP_KEYS = SweepConfig.model_fields.keys() - Config.model_fields.keys()
LARGEST_FOLDER = 100 * 2**20
"""Bytes of a working directory that is sent; Ray itself refuses more than 500 MiB, after it has packed them."""

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", "runs", "sweeps", "*.parquet")


@dataclass(frozen=True)
class Parcel:
    """Hold what is sent. kind: run or sweep. job: the beginning of the job's id. text: the content of `JOB_FILE`."""

    kind: str
    name: str
    place: str
    job: str
    text: str


def pack(path: str | None, overrides: list[str], driver_cpus: float = 0.0) -> Parcel:
    """Read and check a run's or a sweep's YAML file with its overrides, as `distal run` and `distal tune` do.

    Args:
        driver_cpus: what the job's own process will hold of the cluster.

    Raises:
        ConfigError: a key or value is refused; a path means something on this machine only; a URI holds a password;
            the oracle is a function of this process.
    """
    if path is not None and _is_sweep(read_yaml(Path(path)), overrides):
        sweep = read_sweep(path, overrides)
        base, _, _ = check_sweep(sweep)
        resources = sweep.resources.model_copy(update={"driver_cpus": driver_cpus})
        own = {"base": base.model_dump(mode="json"), "resources": resources.model_dump(), "address": None}
        sweep = make_sweep(sweep.model_dump(mode="json") | own)
        return _parcel("sweep", sweep, base)
    config = read_config(path, overrides).model_copy(update={"address": None, "driver_cpus": driver_cpus})
    return _parcel("run", config, config)


def unpack(path: Path) -> Config | SweepConfig:
    """Read the file that `pack` wrote, on the cluster.

    Raises:
        ClusterError: it was written by another version of distal or Python.
    """
    tree = read_yaml(path)
    sent, here = tree.get("versions"), versions()
    if sent != here:
        raise ClusterError(
            f"version mismatch: sent by {_told(sent)}; this cluster has {_told(here)}.\n"
            "Install the same on both sides, or send yours along with --send-distal."
        )
    return make_sweep(tree["sweep"]) if "sweep" in tree else make_config(tree["run"])


def versions() -> dict[str, str]:
    """Return the versions that both sides must share: a configuration's keys and defaults are those of its version."""
    return {"distal": __version__, "python": ".".join(platform.python_version_tuple()[:2])}


@contextmanager
def staged(parcel: Parcel, folder: str | None, variables: Mapping[str, str]) -> Iterator[Path]:
    """Lay the job's file, and a copy of the user's folder if one is given, into a folder that Ray can send.

    Args:
        variables: handed over to the job's processes.

    Raises:
        ConfigError: the folder is missing or too large to send.
    """
    with tempfile.TemporaryDirectory(prefix="distal-submit-") as place:
        if folder is not None:
            _require_sendable(Path(folder))
            shutil.copytree(folder, place, ignore=LEFT_OUT, dirs_exist_ok=True)
        (Path(place) / JOB_FILE).write_text(parcel.text)
        if variables:
            lay(Path(place), variables)
        yield Path(place)


def _is_sweep(tree: Mapping[str, Any], overrides: list[str]) -> bool:
    given = dict(tree)
    for override in overrides:
        if override.partition("=")[0] in SWEEP_KEYS:
            apply_override(given, override, SweepConfig)
    return bool(given.keys() & SWEEP_KEYS)


def _parcel(kind: str, config: Config | SweepConfig, base: Config) -> Parcel:
    if base.oracle.kind == "callable":
        raise ConfigError(
            "oracle.kind: a function answers in the process that has it, which a job has not.\n"
            "Use oracle.kind=dataset or files, or run a driver script on the cluster: distal.connect(address)."
        )
    for key, path in places(config):
        _require_place(key, path)
    for key, path in places(base) if kind == "sweep" else ():
        if key != "storage":  # trials lie in the sweep's folder
            _require_place(f"base.{key}", path)
    place = f"{config.storage.rstrip('/')}/{config.name}"
    digest = hashlib.sha256(f"{kind} {place}".encode()).hexdigest()[:8]
    tree = {"versions": versions(), kind: config.model_dump(mode="json")}
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)
    return Parcel(kind, config.name, place, f"{config.name}-{digest}", text)


def _require_place(key: str, path: str) -> None:
    """Refuse a path that another machine would read otherwise, and a password that would lie in files and logs."""
    if "://" in path:
        if urlsplit(path).password is not None:
            raise ConfigError(
                f"{key}: the URI holds a password, which the job's files and logs would show.\n"
                "Leave it out, set it in the environment, and name the variables: --env AWS_SECRET_ACCESS_KEY ..."
            )
    elif not Path(path).is_absolute():
        raise ConfigError(
            f"{key}: '{path}' is relative to this machine's current folder; the cluster has another one.\n"
            f"Give a URI such as s3://bucket/{Path(path).name}, or an absolute path that all nodes share."
        )


def _require_sendable(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigError(f"--working-dir: there is no folder {folder}.\nGive the folder that holds your modules.")
    sizes = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not LEFT_OUT("", list(parts)):
            sizes[path] = path.stat().st_size
    if sum(sizes.values()) > LARGEST_FOLDER:
        largest = max(sizes, key=lambda path: sizes[path])
        raise ConfigError(
            f"--working-dir: {folder} holds {sum(sizes.values()) / 2**20:,.0f} MiB, more than the "
            f"{LARGEST_FOLDER / 2**20:.0f} that are sent; the largest file is {largest}.\n"
            "Send code, and put data where the nodes can read it: a shared folder or a bucket."
        )


def _told(versions: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, dict) else "an unknown version"

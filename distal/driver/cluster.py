"""Be connected to Ray: to the session at hand, to a cluster at an address, or to a local one."""

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import ray
from ray.exceptions import AuthenticationError, GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distal.errors import ClusterError
from distal.logs import as_json

OBJECT_STORE_BYTES = 256 * 2**20
CONNECT_S = 5.0
VERSIONS_S = 60.0
"""How long nodes may take to start a process that tells its versions."""
CLIENT_PORT = 10001


class Connection:
    """Stand for the cluster that this process has joined; `close()`, or the end of a `with` block, leaves it.

    Attributes:
        address: what was joined. nodes: how many live. cpus, gpus: what they have together.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        living = living_nodes()
        self.nodes = len(living)
        self.cpus = sum(has.get("CPU", 0.0) for has in living)
        self.gpus = sum(has.get("GPU", 0.0) for has in living)

    def close(self) -> None:
        """Leave the cluster; what runs there for this process ends."""
        ray.shutdown()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(address: str = "auto") -> Connection:
    """Join a Ray cluster from a driver script, for every `ActiveLearner` and `distal.tune` that follows.

    Args:
        address: "auto" on a machine of the cluster, or host:port of its GCS. Where it asks for a token, set
            RAY_AUTH_MODE=token before Ray is imported; it lies in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or
            ~/.ray/auth_token.

    Raises:
        ClusterError: it cannot be reached, refuses the token, or has other versions of Ray, Python, distal or torch
            than this process; or this process has joined a cluster already.
    """
    if ray.is_initialized():
        raise ClusterError(
            "address: this process has joined a Ray cluster already.\nLeave that one first: connection.close()"
        )
    _join(address)
    return Connection(address)


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Be connected to Ray: to the session this process already has, to `address`, or to a local one for the while.

    Raises:
        ClusterError: as `connect`.
    """
    if ray.is_initialized():
        yield
        return
    _join(address or os.environ.get("RAY_ADDRESS"))
    try:
        yield
    finally:
        ray.shutdown()


def living_nodes() -> list[dict[str, float]]:
    """Return what each living node has, by "CPU", "GPU" and Ray's other names."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def token_advice() -> str:
    """Say how a token is given."""
    return (
        "Put the cluster's token into RAY_AUTH_TOKEN, or its file's name into RAY_AUTH_TOKEN_PATH "
        "(default ~/.ray/auth_token), and set RAY_AUTH_MODE=token."
    )


def _join(given: str | None) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if given is None:
        cores = len(os.sched_getaffinity(0))
        settings |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        _require_listener(given)
    own_handlers, on_sigterm = list(logging.root.handlers), signal.getsignal(signal.SIGTERM)
    if as_json():
        level = os.environ.get("DISTAL_LOG", "INFO").upper()
        settings["logging_config"] = ray.LoggingConfig(encoding="JSON", log_level=level)
    try:
        ray.init(address=given or "local", **settings)  # None would join whatever cluster runs on this machine
    except AuthenticationError:
        raise ClusterError(f"address: the cluster at '{given}' refuses the token.\n{token_advice()}") from None
    except Exception as error:  # noqa: BLE001 - where a node takes too long to start, Ray raises a bare one
        raise _mismatch(given, str(error)) or _unreachable(
            given or "local", str(error).partition("\n")[0][:150]
        ) from None
    finally:
        for handler in set(logging.root.handlers) - set(own_handlers):  # this process's records are written already
            logging.root.removeHandler(handler)
        if callable(on_sigterm) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts one in its place that dumps the stack
    if given is not None:
        try:
            _require_same_versions()
        except ClusterError:
            ray.shutdown()
            raise


def _require_same_versions() -> None:
    """Have every node tell its versions, and refuse those that differ, for results would; Ray compares its own."""

    def told() -> dict[str, str]:  # nested, so that it travels to nodes that have no distal
        from importlib.metadata import PackageNotFoundError, version

        try:
            torch_version = version("torch").partition("+")[0]  # +cpu and +cu130 are one version; importing takes 2 s
        except PackageNotFoundError:
            torch_version = "none"
        try:
            from distal.version import __version__ as distal_version  # a job may have brought its own
        except ImportError:
            distal_version = "none"
        return {"distal": distal_version, "torch": torch_version}

    here = told()
    ask = ray.remote(num_cpus=0, max_retries=0)(told)
    nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
    asked = {
        ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(): host
        for node, host in nodes.items()
    }
    for answer, host in asked.items():
        try:
            there = ray.get(answer, timeout=VERSIONS_S)
        except (RayError, GetTimeoutError):
            continue  # a node that is going, or busy, is not a node with other versions
        for name in here:
            if there[name] != here[name]:
                raise ClusterError(
                    f"version mismatch: node {host} has {name} {there[name]}, this process {here[name]}.\n"
                    "Install the same on all nodes; the image of cluster/Dockerfile has it."
                )


def _require_listener(address: str) -> None:
    """Refuse a host and port where nobody listens: Ray itself tries for minutes, then ends the whole process."""
    host, colon, port = address.removeprefix("ray://").partition("?")[0].rstrip("/").rpartition(":")
    if not colon:
        host, port = port, str(CLIENT_PORT)
        if not address.startswith("ray://"):
            return  # "auto" and "local" are names, not places
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise _unreachable(address, str(reason)) from None


def _mismatch(address: str | None, said: str) -> ClusterError | None:
    """Read Ray's complaint about versions."""
    rays, pythons = re.findall(r"Ray: (\S+)", said), re.findall(r"Python: (\S+)", said)
    if "ersion mismatch" not in said or len(rays) < 2 or len(pythons) < 2:
        return None
    return ClusterError(
        f"version mismatch: the cluster at '{address}' has Ray {rays[0]} and Python {pythons[0]}, this process "
        f"Ray {rays[1]} and Python {pythons[1]}.\nInstall the same here, or send a job, which runs there: distal submit"
    )


def _unreachable(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"address: no Ray cluster answers at '{address}' ({reason}).\n"
        f"Start one with 'ray start --head', or leave the address out."
    )

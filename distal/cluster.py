"""Be connected to Ray for a while: to the session at hand, to a cluster at an address, or to a local one."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import RayError

from distal.errors import ClusterError

OBJECT_STORE_BYTES = 256 * 2**20
CONNECT_S = 5.0
CLIENT_PORT = 10001


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Be connected to Ray: to the session this process already has, to `address`, or to a local one for the while.

    Raises:
        ClusterError: the address cannot be reached.
    """
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    given = address or os.environ.get("RAY_ADDRESS")
    if given is None:
        cores = len(os.sched_getaffinity(0))
        quiet |= {"num_cpus": cores, "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    else:
        _require_listener(given)
    try:
        ray.init(address=given or "local", **quiet)  # None would join whatever cluster runs on this machine
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise _unreachable(given or "local", str(error).partition("\n")[0][:150]) from None
    try:
        yield
    finally:
        ray.shutdown()


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


def _unreachable(address: str, reason: str) -> ClusterError:
    return ClusterError(
        f"address: no Ray cluster answers at '{address}' ({reason}).\n"
        f"Start one with 'ray start --head', or leave the address out."
    )

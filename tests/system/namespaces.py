"""Network namespaces: nodes of one machine with addresses of their own, which a link joins and can be taken away."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


class Network:
    """A bridge with one namespace a node. head_ip: this machine's address on it."""

    def __init__(self, number: int) -> None:
        self._subnet = f"10.{100 + number % 100}.{number // 100 % 200}"
        self._tag = f"dt{number % 10_000}"
        self.head_ip = f"{self._subnet}.1"
        self._names: list[str] = []

    def open(self) -> None:
        self._ip("link", "add", self._tag, "type", "bridge")
        self._ip("address", "add", f"{self.head_ip}/24", "dev", self._tag)
        self._ip("link", "set", self._tag, "up")

    def node(self, name: str) -> dict[str, str]:
        """Make a namespace, and return the settings with which cluster/local.sh starts a node in it."""
        number = len(self._names) + 11
        space, outside, inside = f"{self._tag}-{name}", f"{self._tag}o{number}", f"{self._tag}i{number}"
        self._ip("netns", "add", space)
        self._names.append(name)
        self._ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", space)
        self._ip("link", "set", outside, "master", self._tag, "up")
        self._ip("-n", space, "address", "add", f"{self._subnet}.{number}/24", "dev", inside)
        for device in (inside, "lo"):
            self._ip("-n", space, "link", "set", device, "up")
        return {"NODE_IP": f"{self._subnet}.{number}", "WITHIN": f"ip netns exec {space}"}

    def cut(self, name: str, joined: bool = False) -> None:
        """Take the node's link away, or give it back."""
        device = f"{self._tag}o{self._names.index(name) + 11}"
        self._ip("link", "set", device, "up" if joined else "down")

    def close(self) -> None:
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", f"{self._tag}-{name}"], check=False)
        subprocess.run(["ip", "link", "delete", self._tag], check=False)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def network() -> Iterator[Network]:
    """Set the bridge up, or skip the test where this machine does not allow it."""
    made = Network(os.getpid())
    try:
        made.open()
    except (OSError, subprocess.CalledProcessError) as error:
        made.close() if not isinstance(error, OSError) else None
        pytest.skip(f"network namespaces need root and iproute2 ({error})")
    try:
        yield made
    finally:
        made.close()

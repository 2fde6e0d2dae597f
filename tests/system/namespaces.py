"""Network namespaces: nodes of one machine with addresses of their own, which a link joins and can be taken away."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class Network:
    """A bridge with one namespace a node. head_ip: this machine's address, by which a driver here knows its own node.

    places: settings by node.
    """

    def __init__(self, number: int) -> None:
        self._subnet = f"10.{100 + number % 100}.{number // 100 % 200}"
        self._tag = f"dt{number % 10_000}"
        self.head_ip = own_address()
        self.places: dict[str, dict[str, str]] = {}

    def open(self) -> None:
        self._ip("link", "add", self._tag, "type", "bridge")
        self._ip("address", "add", f"{self._subnet}.1/24", "dev", self._tag)
        self._ip("link", "set", self._tag, "up")

    def node(self, name: str) -> dict[str, str]:
        """Make a namespace, and return the settings with which cluster/local.sh starts a node in it."""
        number = len(self.places) + 11
        space, outside, inside = f"{self._tag}-{name}", f"{self._tag}o{number}", f"{self._tag}i{number}"
        self._ip("netns", "add", space)
        self.places[name] = {"NODE_IP": f"{self._subnet}.{number}", "WITHIN": f"ip netns exec {space}"}
        self._ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", space)
        self._ip("link", "set", outside, "master", self._tag, "up")
        self._ip("-n", space, "address", "add", f"{self._subnet}.{number}/24", "dev", inside)
        for device in (inside, "lo"):
            self._ip("-n", space, "link", "set", device, "up")
        self._ip("-n", space, "route", "add", self.head_ip, "via", f"{self._subnet}.1")
        return self.places[name]

    def cut(self, name: str, joined: bool = False) -> None:
        """Take the node's link away, or give it back."""
        device = f"{self._tag}o{list(self.places).index(name) + 11}"
        self._ip("link", "set", device, "up" if joined else "down")

    def close(self) -> None:
        for name in self.places:
            subprocess.run(["ip", "netns", "delete", f"{self._tag}-{name}"], check=False)
        subprocess.run(["ip", "link", "delete", self._tag], check=False)

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, capture_output=True)


def own_address() -> str:
    """Return the address by which this machine reaches others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way_out:
        way_out.connect(("192.0.2.1", 9))
        return str(way_out.getsockname()[0])


@contextmanager
def network() -> Iterator[Network | None]:
    """Set the bridge up; None where this machine does not allow it: without root, iproute2 or a route."""
    try:
        made = Network(os.getpid())
        made.open()
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield made
    finally:
        made.close()

"""Start an S3 server for the tests, and speak with it."""

import itertools
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.fs

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
START_S = 60.0


@dataclass
class S3Server:
    """A server on 127.0.0.1 that can be spoiled, killed and started again, empty then."""

    port: int
    process: "subprocess.Popen[bytes] | None" = None
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which pyarrow and obstore find the server."""
        return {**KEYS, "AWS_ENDPOINT_URL": self.url}

    def start(self) -> None:
        script = Path(__file__).with_name("s3_server.py")
        self.process = subprocess.Popen([sys.executable, str(script), str(self.port)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            assert self.process.poll() is None, "the S3 server ended at its start"
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def bucket(self) -> str:
        """Make a fresh bucket and return its name."""
        name = f"bucket-{next(self.numbers)}"
        self.send("PUT", f"/{name}")
        return name

    def uri(self, path: str, keys: str = "test:test") -> str:
        """Return a URI that carries all that is needed to reach a path."""
        return f"s3://{keys}@{path}?endpoint_override=127.0.0.1:{self.port}&scheme=http&region=us-east-1"

    def send(self, method: str, path: str, body: str = "") -> None:
        octets = {"Content-Type": "application/octet-stream"}
        request = urllib.request.Request(self.url + path, body.encode(), octets, method=method)
        urllib.request.urlopen(request, timeout=30).close()

    @contextmanager
    def spoiled(self, fault: str, value: float) -> Iterator[None]:
        """Answer badly for a while."""
        self.send("PUT", f"/spoil/{fault}", str(value))
        try:
            yield
        finally:
            self.send("DELETE", f"/spoil/{fault}")


@contextmanager
def only_known_keys(server: S3Server) -> Iterator[None]:
    """Let the server refuse all keys for a while: it knows none."""
    server.send("POST", "/moto-api/reset-auth", "0")
    try:
        yield
    finally:
        server.send("POST", "/moto-api/reset-auth", "inf")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving() -> Iterator[S3Server]:
    server = S3Server(free_port())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def download(uri: str, folder: Path) -> Path:
    """Copy everything under a URI into a local folder."""
    source, path = pyarrow.fs.FileSystem.from_uri(uri)
    local = pyarrow.fs.LocalFileSystem()
    folder.mkdir(parents=True, exist_ok=True)
    pyarrow.fs.copy_files(path, str(folder), source_filesystem=source, destination_filesystem=local)
    return folder

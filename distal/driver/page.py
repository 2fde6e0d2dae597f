"""Open the labeling page with a run whose people answer there, in a process of its own, and close it with the run."""

import importlib.util
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from distal.config import Config
from distal.errors import ConfigError
from distal.oracle import PageConfig
from distal.run.directory import RunDirectory

log = logging.getLogger(__name__)

KILLED = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT)
"""Signals that nobody ends a page with who wants it ended."""
AGAIN = 20
"""How often it is opened again; a machine without memory would kill it for ever."""
END_S = 5.0
"""How long the page may take to end: it answers what is under way."""


def require_page(config: Config) -> None:
    """Refuse a page that this machine cannot serve. Raises ConfigError."""
    if isinstance(config.oracle, PageConfig) and not can_serve():
        raise ConfigError(
            "oracle.kind: 'page' needs the packages starlette and uvicorn.\n"
            "Install them: pip install 'distal[label]'; or label with oracle.kind=files."
        )


def can_serve() -> bool:
    """Say whether the packages are there that a page is served with."""
    return all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn"))


class _Served:
    """Keep the process of a page, and open it again where the system kills it: people would wait for it in vain."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._ending = threading.Event()
        self._starting = threading.Lock()
        self._process = self._start()
        threading.Thread(target=self._keep, name="distal-page", daemon=True).start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, start_new_session=True)

    def _keep(self) -> None:
        for _ in range(AGAIN):
            if -self._process.wait() not in KILLED:
                return
            with self._starting:
                if self._ending.is_set():
                    return
                log.warning("the page was ended by signal %d; it is opened again", -self._process.returncode)
                self._process = self._start()

    def end(self) -> None:
        """End the page once it has answered what is under way."""
        with self._starting:
            self._ending.set()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def page_beside(config: Config, run: RunDirectory) -> Iterator[None]:
    """Serve the run's page while the block runs, where people answer there; decisions are files, seen by both.

    It is opened again where it is killed, and ends when this process does, even killed, because its standard input then
    ends. Not in the same process: a thread that answers requests would wait for training, and training for it.
    """
    if not isinstance(config.oracle, PageConfig):
        yield
        return
    place = str(run.local) if run.local is not None else f"{config.storage.rstrip('/')}/{config.name}"
    command = [sys.executable, "-m", "distal", "label", place, "--with-run"]
    served = _Served(command)
    try:
        yield
    finally:
        served.end()

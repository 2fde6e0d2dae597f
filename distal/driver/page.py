"""Open the labeling page with a run whose people answer there, in a process of its own, and close it with the run."""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from distal.config import Config
from distal.errors import ConfigError
from distal.oracle import PageConfig
from distal.run.directory import RunDirectory

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


@contextmanager
def page_beside(config: Config, run: RunDirectory) -> Iterator[None]:
    """Serve the run's page while the block runs, where people answer there; decisions are files, seen by both.

    It ends when this process does, even killed, because its standard input then ends. Not in the same process: a thread
    that answers requests would wait for training, and training for it.
    """
    if not isinstance(config.oracle, PageConfig):
        yield
        return
    place = str(run.local) if run.local is not None else f"{config.storage.rstrip('/')}/{config.name}"
    command = [sys.executable, "-m", "distal", "label", place, "--with-run"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert process.stdin is not None
    try:
        yield
    finally:
        process.stdin.close()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

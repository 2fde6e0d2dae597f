"""End a command that is interrupted, by Ctrl-C or by SIGTERM, as Slurm, Kubernetes and systemd send it: in words."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 128 + signal.SIGTERM


def end_on_sigterm() -> None:
    """Have SIGTERM leave all blocks in order, as Ctrl-C does; a second one is not waited for."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(TERMINATED)


@contextmanager
def ending(continues: str) -> Iterator[None]:
    """Say, where the block is interrupted, that nothing is lost and which command continues."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, KeyboardInterrupt) or end.code == TERMINATED:
            what = "interrupted" if isinstance(end, KeyboardInterrupt) else "terminated"
            sys.stderr.write(f"{what}; every answered label and committed round is kept: {continues}\n")
        raise

"""End a command that is interrupted, by Ctrl-C or by SIGTERM, as Slurm, Kubernetes and systemd send it: in words."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
AGAIN = "give the same command again"

SOON = 0.05
"""Seconds after which an end that could not be raised is tried again."""


def end_on_sigterm() -> None:
    """Have SIGTERM leave all blocks in order, as Ctrl-C does; a second one is not waited for."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        sys.unraisablehook = _raise_later


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(TERMINATED)


def _raise_later(lost: "sys.UnraisableHookArgs") -> None:
    """Raise an end again that came while Python called what cannot raise, a weak reference's callback or a destructor.

    Python says "Exception ignored" there and goes on, and the process would outlive its SIGTERM.
    """
    end = lost.exc_value
    if not (isinstance(end, KeyboardInterrupt) or (isinstance(end, SystemExit) and end.code == TERMINATED)):
        sys.__unraisablehook__(lost)
        return
    again = type(end)(*end.args)

    def end_now(number: int, frame: FrameType | None) -> None:
        raise again

    signal.signal(signal.SIGALRM, end_now)
    signal.setitimer(signal.ITIMER_REAL, SOON)


@contextmanager
def ending(continues: str) -> Iterator[None]:
    """Say, where the block is interrupted, that nothing is lost and which command continues; blocks around are silent.

    A command is such a block as well: it may be interrupted while it reads its arguments and imports what it needs.

    Raises:
        typer.Exit: in place of what interrupted.
    """
    try:
        yield
        return
    except KeyboardInterrupt:
        what, code = "interrupted", INTERRUPTED
    except SystemExit as end:
        if end.code != TERMINATED:
            raise
        what, code = "terminated", TERMINATED
    sys.stderr.write(f"{what}; every answered label and committed round is kept: {continues}\n")
    raise typer.Exit(code)

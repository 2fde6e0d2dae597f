"""End work in words where the raylet of this machine dies, by which a process speaks to all that it has in Ray.

Ray 2.60 notices it after some 13 s, prints the raylet's last records, and at the next call that needs the raylet it
ends the whole process, from C++, with code 1.
"""

import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import ray

from distal.errors import ClusterError

logger = logging.getLogger(__name__)

GRACE_S = 2.0
"""How long the block may take to end by itself: SIGTERM to a whole process group ends the raylet, too."""

WAKE = signal.SIGRTMAX - 1
"""Nobody's signal. It ends any wait of the main thread, that of `ray.get` in C++ within a second."""


class NodeLost(BaseException):
    """Leave the block as Ctrl-C does, past whoever handles errors in it."""


@contextmanager
def watched() -> Iterator[None]:
    """Have the block raise where the raylet dies. Only the main thread can be reached; in another it is logged.

    Raises:
        ClusterError: the raylet has died.
    """
    line = _line_to_raylet()
    if line is None:
        yield
        return
    main, left, guard = threading.main_thread(), threading.Event(), threading.Lock()
    reachable = threading.current_thread() is main

    def wait() -> None:
        with suppress(ConnectionResetError):
            line.recv(1)  # the raylet says nothing: this ends with it, whatever ends it, or with the block
        if left.wait(GRACE_S):
            return
        if not reachable:
            logger.error("%s", _lost())
            return
        with guard:
            if not left.is_set():
                signal.pthread_kill(main.ident or 0, WAKE)

    def leave(number: int, frame: FrameType | None) -> None:
        ending = isinstance(sys.exc_info()[1], KeyboardInterrupt | SystemExit | GeneratorExit)
        if not left.is_set() and not ending:
            raise NodeLost

    before = signal.signal(WAKE, leave) if reachable else None
    thread = threading.Thread(target=wait, name="distal-raylet", daemon=True)
    thread.start()
    try:
        yield
    except NodeLost:
        raise _lost() from None
    finally:
        with guard:
            left.set()
        if reachable:
            signal.signal(WAKE, before or signal.SIG_DFL)
        line.shutdown(socket.SHUT_RDWR)
        thread.join()
        line.close()


def raylet_place() -> str:
    """Return where the raylet of this process listens, a path."""
    here = ray.get_runtime_context().get_node_id()
    place: str = next(node["RayletSocketName"] for node in ray.nodes() if node["NodeID"] == here)
    return place


def answers(place: str) -> bool:
    """Say whether a raylet can be reached at its place; one in another container cannot, alive or not."""
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(place)
        except OSError:
            return False
    return True


def _line_to_raylet() -> socket.socket | None:
    """Connect to the raylet; None where it is out of sight, as from another container.

    Raises:
        ClusterError: it has died.
    """
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(raylet_place())
    except ConnectionRefusedError:
        line.close()
        raise _lost() from None
    except OSError:
        line.close()
        return None
    return line


def _lost() -> ClusterError:
    return ClusterError(
        "this machine's raylet, by which this process speaks to Ray, was killed or has crashed.\n"
        "Everything committed and every label answered is kept: run distal resume, tune --resume or the job again.\n"
        "Where memory ran out (dmesg tells it), set fewer pool.shards, train.workers or trials at a time."
    )

"""Connect the training workers to the driver: progress up, questions up, replies and a stop flag down.

The rounds run on rank 0 of the workers; what belongs to the driver's own process (the user's callable oracle, the
progress display, the loop over committed rounds) is asked for through a mailbox, which lies in an actor. Rounds in the
driver's process need none.
"""

import queue
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from distal.progress import Event
from distal.run.ledger import Query

POLL_S = 1.0


class Interrupted(Exception):  # noqa: N818 - not an error: the driver asked the rounds to end
    """Leave the rounds because the driver asked to stop."""


@dataclass(frozen=True)
class Collect:
    """Ask the driver's oracle for these pending rows of a query; replies are lists of answers."""

    query: Query
    pending: npt.NDArray[np.int64]


@dataclass(frozen=True)
class WorkersUp:
    """Tell the driver that the rounds have begun on this number of ranks."""

    size: int


@dataclass(frozen=True)
class Question:
    """Carry a message that wants replies under this ticket."""

    ticket: str
    message: Any


@dataclass(frozen=True)
class LastReply:
    """End the replies to a question; an error makes the asker raise it."""

    error: Exception | None = None


class Mailbox:
    """Queue messages for the driver and replies for the rounds; every method may be called from any thread."""

    def __init__(self) -> None:
        self._messages: queue.Queue[Any] = queue.Queue()
        self._replies: dict[str, queue.Queue[Any]] = {}
        self._guard = threading.Lock()
        self._stopped = False

    def send(self, message: Any) -> bool:
        """Queue a message for the driver; return whether the driver has asked to stop."""
        if isinstance(message, Question):
            with self._guard:
                self._replies[message.ticket] = queue.Queue()
        self._messages.put(message)
        return self._stopped

    def receive(self, timeout_s: float) -> Any:
        """Return the next message for the driver, or None after the timeout."""
        try:
            return self._messages.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def reply(self, ticket: str, value: Any) -> None:
        """Queue a reply to a question; one whose asker is gone is dropped."""
        with self._guard:
            replies = self._replies.get(ticket)
        if replies is not None:
            replies.put(value)

    def next_reply(self, ticket: str, timeout_s: float) -> Any:
        """Return the next reply to a question, or None after the timeout."""
        with self._guard:
            replies = self._replies[ticket]
        try:
            value = replies.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(value, LastReply):
            with self._guard:
                del self._replies[ticket]
        return value

    def stop(self) -> None:
        """Ask the rounds to end at their next message."""
        self._stopped = True

    def stopped(self) -> bool:
        """Return whether the rounds are asked to end."""
        return self._stopped


class Link:
    """Be the rounds' end of a mailbox.

    Args:
        call: invokes a method of the mailbox by name.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def tell(self, message: Event | Any) -> None:
        """Send a message that wants no reply.

        Raises:
            Interrupted: the driver asked to stop.
        """
        if self._call("send", message):
            raise Interrupted

    def ask(self, message: Any) -> Iterator[Any]:
        """Send a question and yield its replies until the last.

        Raises:
            Interrupted: the driver asked to stop while a reply was awaited.
            DistalError: what went wrong on the driver's side.
        """
        ticket = uuid.uuid4().hex
        self._call("send", Question(ticket, message))
        while True:
            value = self._call("next_reply", ticket, POLL_S)
            if value is None:
                self.raise_if_stopped()
            elif isinstance(value, LastReply):
                if value.error is not None:
                    raise value.error
                return
            else:
                yield value

    def raise_if_stopped(self) -> None:
        """Raise Interrupted where the driver has asked to stop."""
        if self._call("stopped"):
            raise Interrupted

"""Wait for a store that stops answering: a night's run should outlive a minute's outage."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from distal.errors import StorageAwayError

log = logging.getLogger(__name__)

T = TypeVar("T")
PATIENCE_S = 120.0
"""Seconds for which a request is tried again, on top of what the store's own client tries."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0


class Patience:
    """Try requests again where the store does not answer, once it has answered before.

    Before its first answer nothing is tried again, so that a wrong address is told at once.
    """

    def __init__(self) -> None:
        self._answered = False

    def __call__(self, request: Callable[[], T]) -> T:
        """Return what the request returns.

        Raises:
            StorageAwayError: the store has not answered for `PATIENCE_S`, or never has; other errors come through.
        """
        deadline = time.monotonic() + PATIENCE_S
        wait = FIRST_WAIT_S
        while True:
            try:
                answer = request()
            except StorageAwayError as error:
                if not self._answered or time.monotonic() + wait > deadline:
                    raise
                log.warning("trying again in %g s: %s", wait, str(error).splitlines()[0])
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                self._answered = True
                return answer

"""Leave a run's page and the reason of its end as the run is left, and write the page again while it is at work."""

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from distal.data.generated import RunImages
from distal.errors import ClusterError, DistalError, RunError, StorageError
from distal.progress import Event, Listener
from distal.run.directory import RunDirectory
from distal.stopping import Outcome

logger = logging.getLogger(__name__)

REPORT_EVERY = 10.0
"""Times as long as the report took pass before it is written again."""

FIRST_S = 10.0
"""So long a run is at work before its page is written: a short one writes it once, at its end."""


class Reports:
    """Write report.html and stopped.json of a run. shown: gives thumbnails."""

    def __init__(self, run: RunDirectory, shown: RunImages, classes: Sequence[str]) -> None:
        self._run, self._shown, self._classes = run, shown, tuple(classes)
        self._due = 0.0

    @contextmanager
    def reported(self, outcome: Callable[[], Outcome | None]) -> Iterator[None]:
        """Leave the page as the run is left: at its end, by an error or Ctrl-C, or by whoever leaves the loop.

        outcome: says how the run ended, once it has.
        """
        self._due = time.monotonic() + FIRST_S
        try:
            yield
            end = outcome()
            if end is not None and end.kind == "stopped":
                self._run.write("stopped.json", json.dumps({"reason": end.reason, "message": end.message}).encode())
        except (ClusterError, StorageError, RunError):
            raise  # what refused this would refuse the page; where only Ray did, the page of the last round stands
        except BaseException:
            self._write()
            raise
        self._write()

    def beside(self, listen: Listener) -> Listener:
        """Pass a run's events on, and write the page again once a round has asked: who labels does not wait for it."""
        told = 1  # the first round asks when nothing is committed yet

        def heard(event: Event) -> None:
            nonlocal told
            listen(event)
            if event.phase == "annotate" and event.round > told:
                told = event.round
                self.at_work()

        return heard

    def at_work(self) -> None:
        """Write the page of a run that goes on; where that takes long, less often: a tenth of the time."""
        if time.monotonic() >= self._due:
            self._write(at_work=True)

    def _write(self, at_work: bool = False) -> None:
        from distal.report.write import write_report  # which imports matplotlib: half a second that only a page pays

        began = time.monotonic()
        try:
            if self._run.exists():
                write_report(self._run, self._shown, self._classes, at_work)
        except DistalError as error:
            logger.warning("the report could not be written: %s", error)
        self._due = time.monotonic() + REPORT_EVERY * (time.monotonic() - began)

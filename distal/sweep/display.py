"""Show a sweep's progress: a line for each trial that ends, and below them how far all of it is."""

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from distal.sweep.space import describe_point
from distal.sweep.watch import Progress

STYLE = {"finished": "green", "stopped": "yellow", "failed": "red"}


class SweepDisplay:
    """Watch a sweep and draw it with rich; without a terminal, print the lines alone.

    Use it as a context manager and pass it as `watch`.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task = self._bar.add_task("preparing", total=None, note="pool and extractor")
        self._started = time.monotonic()
        self._seconds: dict[str, float] = {}

    def __enter__(self) -> "SweepDisplay":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Draw one fact."""
        self._seconds[progress.trial] = progress.seconds
        value = "no value" if progress.value is None else f"{progress.value:.4g}"
        what = f"{progress.trial} ({describe_point(progress.point)})"
        if progress.state != "running":
            end = f"[{STYLE[progress.state]}]{progress.state:<8}[/]"
            head = f"{progress.ended:>3}/{progress.trials} {end} {escape(what)}: {value} after {progress.asked} labels"
            why = f"  {escape(progress.reason.splitlines()[0])}" if progress.state == "failed" else ""
            self.console.print(f"{head}, {progress.seconds:.0f} s{why}")
        spent = sum(self._seconds.values())
        note = f"{what}: round {progress.round}, {value};  {spent:.0f} s of compute{self._left(progress)}"
        description = f"{progress.ended}/{progress.trials} trials"
        self._bar.update(
            self._task, completed=progress.ended, total=progress.trials, description=description, note=escape(note)
        )

    def _left(self, progress: Progress) -> str:
        if progress.ended == 0:
            return ""
        passed = time.monotonic() - self._started
        return f"; about {passed / progress.ended * (progress.trials - progress.ended) / 60:.0f} min left"

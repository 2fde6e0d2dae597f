"""Show a run's progress on a terminal: the phase at work, its bar, the time left, a line for each finished phase."""

import time
from collections import defaultdict

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from distal.config import Config
from distal.progress import Event

UNITS = {
    "prepare": "rows",
    "reference": "images",
    "acquire": "labels",
    "annotate": "labels",
    "train": "steps",
    "evaluate": "images",
}
PHASES_OF_A_ROUND = ("acquire", "annotate", "train", "evaluate")


class Display:
    """Listen to a run's events and draw them with rich; without a terminal, print one line for each finished phase.

    Use it as a context manager and pass it as `listen`.
    """

    def __init__(self, config: Config, console: Console | None = None) -> None:
        self.config = config
        self.console = console or Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", justify="left"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[note]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None
        self._phase: tuple[int, str] | None = None
        self._phase_started = time.monotonic()
        self._phase_seconds: dict[str, list[float]] = defaultdict(list)
        self._last: Event | None = None

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if event.phase == "commit":
            self._finish_phase()
            self._print_round(event)
            self._phase = None
            return
        if (event.round, event.phase) != self._phase:
            self._finish_phase()
            self._start_phase(event)
        self._last = event
        if self._task is not None:
            self._progress.update(self._task, completed=event.done, total=event.total or None, note=self._note(event))

    def time_left(self) -> float | None:
        """Estimate the seconds left if all rounds are run, from the phases seen so far; None before the first round."""
        if self._phase is None or not all(self._phase_seconds[p] for p in ("train", "evaluate")):
            return None
        mean = {p: sum(s) / len(s) for p, s in self._phase_seconds.items() if s}
        round_seconds = sum(mean.get(p, 0.0) for p in PHASES_OF_A_ROUND)
        number, phase = self._phase
        at = PHASES_OF_A_ROUND.index(phase) if phase in PHASES_OF_A_ROUND else 0
        rest = sum(mean.get(p, 0.0) for p in PHASES_OF_A_ROUND[at:]) - (time.monotonic() - self._phase_started)
        return max(0.0, rest) + round_seconds * (self.config.rounds - number)

    def _start_phase(self, event: Event) -> None:
        self._phase = (event.round, event.phase)
        self._phase_started = time.monotonic()
        title = f"round {event.round}/{self.config.rounds}  {event.phase}" if event.round else event.phase
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(f"{title:<24}", total=event.total or None, note="")

    def _finish_phase(self) -> None:
        if self._phase is None or self._last is None:
            return
        number, phase = self._phase
        seconds = time.monotonic() - self._phase_started
        self._phase_seconds[phase].append(seconds)
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        where = f"round {number}/{self.config.rounds}" if number else "start"
        amount = f"{self._last.total:,} {UNITS[phase]}" if self._last.total else ""
        self.console.print(f"{where:<11} {phase:<9} {seconds:7.1f} s  {amount:<14} {self._note(self._last)}".rstrip())

    def _print_round(self, event: Event) -> None:
        facts = ", ".join(f"{name} {_short(value)}" for name, value in event.facts.items())
        left = self.time_left()
        eta = f"; about {_duration(left)} left" if left and event.done < event.total else ""
        self.console.print(f"[bold]round {event.round}/{event.total}  committed[/bold]    {facts}{eta}")

    def _note(self, event: Event) -> str:
        return "  ".join(f"{name} {_short(value)}" for name, value in event.facts.items())


def _short(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

"""Show a run's progress: the phase at work, its bar, the time left, a line for each finished phase."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from distal.notebook.bar import NotebookBar
from distal.progress import Event

UNITS = {
    "prepare": "rows",
    "extractor": "steps",
    "reference": "images",
    "features": "images",
    "acquire": "labels",
    "annotate": "labels",
    "train": "steps",
    "evaluate": "images",
}
PHASES_OF_A_ROUND = ("acquire", "annotate", "train", "evaluate")
QUIET_S = 60.0
"""After so long without a line something is printed where no bar moves: a phase that says nothing seems to hang."""
BAR_LEAST = 8
"""Columns that the bar keeps however much there is to say."""
NOTEBOOK_COLUMNS = 80
"""Room beside a notebook's bar, whose own width the page knows alone."""


class Display:
    """Listen to a run's events and draw them, on a terminal with rich, in a notebook in the cell that runs.

    Elsewhere print one line for each finished phase, and one a minute of a phase that lasts.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._begin()

    def _begin(self) -> None:
        self.live: Progress | None = None
        self._bar: NotebookBar | None = None
        self._last: Event | None = None
        self._rounds = 0
        self._started = self._told = time.monotonic()
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._headline: list[str] = []

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        self._rounds = int(event.facts.get("rounds", self._rounds))
        if event.phase == "end":
            self._stop()
            self._begin()
            return
        last = self._last
        if last is not None and (last.round, last.phase) != (event.round, event.phase):
            self._finish(last)
            last = None
        self._last = event
        if event.phase == "commit":
            self._commit(event)
            self._last = None
        elif last is None:
            self._announce(event)
            self._start(event)
        if self.live is not None:
            self.live.update(self.live.task_ids[0], completed=event.done, total=event.total or None)
        if self.live is None and self._bar is None and time.monotonic() - self._told >= QUIET_S:
            seconds = time.monotonic() - self._started
            self._print(f"{self._line(event, seconds, f'{event.done:,} of {event.total:,}')}so far")
        if self._bar is not None and self._last is not None:
            self._bar.draw(self._title(event), event.done, event.total, self._facts(NOTEBOOK_COLUMNS))

    def time_left(self) -> float | None:
        """Estimate the seconds that the label budget takes, from the phases so far; None before the first round."""
        if self._last is None or not self._rounds or not all(self._seconds[p] for p in ("train", "evaluate")):
            return None
        mean = {phase: sum(s) / len(s) for phase, s in self._seconds.items() if s}
        order = (*PHASES_OF_A_ROUND, "commit")
        at = order.index(self._last.phase) if self._last.phase in order else 0
        rest = sum(mean.get(phase, 0.0) for phase in order[at:]) - (time.monotonic() - self._started)
        more = max(0, self._rounds - self._last.round)
        rounds = max(len(seconds) for seconds in self._seconds.values())  # of which each train.every-th trains
        return max(0.0, rest) + more * sum(sum(self._seconds[phase]) for phase in PHASES_OF_A_ROUND) / rounds

    def _start(self, event: Event) -> None:
        self._started = time.monotonic()
        if self.console.is_terminal:
            title, bar = TextColumn("{task.description}"), BarColumn(bar_width=None)
            facts = _Facts(lambda: self._facts(self.console.width - len(self._title(event)) - BAR_LEAST - 2))
            self.live = Progress(title, bar, facts, console=self.console, transient=True, expand=True)
            self.live.add_task(self._title(event), total=event.total or None)
            self.live.start()
        elif self.console.is_jupyter:
            self._bar = self._bar or NotebookBar()

    def _announce(self, event: Event) -> None:
        """Say before what is done once for a pool how much it takes, where an event tells."""
        if event.facts.get("bytes_to_write") and event.done < event.total:
            size = _size(float(event.facts["bytes_to_write"]))
            line = f"{self._where(event):<11} features   {event.total - event.done:,} images to look at, once: {size}"
            took = event.facts.get("left_s")
            self._print(f"{line} of disk, about {_duration(float(took))}" if took else f"{line} of disk")

    def _title(self, event: Event) -> str:
        return f"{self._where(event)} {event.phase}" if event.round else event.phase

    def _facts(self, room: int) -> str:
        """Say of the phase at work what has room: how much is done, the time, where the run is, the phase's figures."""
        event = self._last
        assert event is not None
        left = float(event.facts["left_s"]) if event.facts.get("left_s") else self.time_left()
        clock = _clock(time.monotonic() - self._started) if left is None else f"{_clock(left)} left"
        count = [f"{event.done:,}/{event.total:,}"] if event.total else []
        return _fitted([*count, clock, *self._headline, *_figures(event)], room)

    def _finish(self, event: Event) -> None:
        self._stop()
        seconds = time.monotonic() - self._started
        self._started += seconds
        self._seconds[event.phase].append(seconds)
        line = self._line(event, seconds, f"{event.total:,}")
        room = self.console.width - len(line) if self.console.is_terminal else None
        self._print(f"{line}{_fitted(_figures(event), room)}".rstrip())

    def _commit(self, event: Event) -> None:
        figures = _figures(event)
        self._headline = [*figures[1:2], *figures[:1]]  # the distance, then the labels
        left = self.time_left()
        eta = f"; about {_duration(left)} left" if left and event.done < event.total else ""
        where = f"round {event.round}/{event.total}"
        self._print(Text.assemble((f"{where:<11} committed", "bold"), f"  {', '.join(figures)}{eta}"))

    def _where(self, event: Event) -> str:
        return f"round {event.round}" + (f"/{self._rounds}" if self._rounds else "") if event.round else "start"

    def _stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None
        if self._bar is not None:
            self._bar.clear()

    def _line(self, event: Event, seconds: float, count: str) -> str:
        amount = f"{count} {UNITS.get(event.phase, '')}" if event.total else ""
        return f"{self._where(event):<11} {event.phase:<9} {seconds:7.1f} s  {amount:<14} "

    def _print(self, line: str | Text) -> None:
        self._told = time.monotonic()
        self.console.print(line, soft_wrap=True, markup=False)


_display = Display()


def show_progress(event: Event) -> None:
    """Show a run's progress on stderr, as the command line does: ``ActiveLearner(config, listen=show_progress)``."""
    _display(event)


class _Facts(ProgressColumn):
    """Hold what is said behind the bar; asked for at each refresh, for time passes between two events."""

    def __init__(self, facts: Callable[[], str]) -> None:
        super().__init__(Column(no_wrap=True))  # the bar gives way
        self._facts = facts

    def render(self, task: Task) -> Text:
        """Return it in one line."""
        return Text(self._facts())


def _figures(event: Event) -> list[str]:
    """Word the facts of an event in a user's words, the most telling first."""
    facts = event.facts
    if event.phase == "prepare" and "available" in facts:
        fetched = [f"prepared: {facts['prepared']}"] if "prepared" in facts else []
        return [f"{facts['available']:,} may be asked", f"{facts['skipped']:,} cannot be read", *fetched]
    if event.phase == "acquire" and "rows" in facts:
        return [f"{facts['strategy']}, {facts['rows']:,} rows scored"]
    if event.phase == "features":
        return [f"{facts['per_s']:,.0f} images/s"] if facts.get("per_s") else []
    labels = [f"{facts['labels']:,} labels"] if "labels" in facts else []
    return labels + [f"{_word(n)} {_short(v)}" for n, v in facts.items() if n not in ("labels", "rounds")]


def _word(name: str) -> str:
    return "distance" if name.startswith("fd_") else "FID" if name == "fid" else name


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _fitted(pieces: Iterable[str], room: int | None) -> str:
    """Join the first pieces that have room together."""
    text = ""
    for piece in pieces:
        longer = f"{text}  {piece}" if text else piece
        if room is not None and len(longer) > room:
            break
        text = longer
    return text


def _size(amount: float) -> str:
    return f"{amount / 1e9:,.1f} GB" if amount >= 1e9 else f"{max(1.0, amount / 1e6):,.0f} MB"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

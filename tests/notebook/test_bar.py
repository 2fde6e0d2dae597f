"""In a notebook one line of the cell is drawn again and again, and each finished phase leaves a line below it."""

import io
from typing import Any

import IPython.display
import pytest
from rich.console import Console

from distal.cli.display import Display
from distal.progress import Event


class Cell:
    """Stand for the output of a cell: what is displayed, and what each of it became."""

    def __init__(self) -> None:
        self.drawn: list[list[str]] = []

    def display(self, html: Any, display_id: bool) -> "Cell":
        self.drawn.append([html.data])
        return self

    def update(self, html: Any) -> None:
        self.drawn[-1].append(html.data)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    made = Cell()
    monkeypatch.setattr(IPython.display, "display", made.display)
    return made


def test_a_run_draws_one_bar_which_is_gone_at_its_end(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    display = Display(Console(file=io.StringIO(), force_jupyter=True))
    lines: list[str] = []
    monkeypatch.setattr(display, "_print", lambda line: lines.append(str(line)))
    display(Event(0, "prepare", 0, 900, {"rounds": 2}))
    display(Event(1, "train", 0, 400))
    display(Event(1, "train", 300, 400, {"<b>loss": 0.5}))
    display(Event(1, "commit", 1, 2, {"labels": 20}))
    display(Event(1, "end"))
    (drawn,) = cell.drawn
    assert any('<progress aria-label="round 1/2 train"' in html and 'max="400"' in html for html in drawn)
    assert not any("<b>" in html for html in drawn)
    assert drawn[-1] == ""
    assert [line.split()[:2] for line in lines] == [["start", "prepare"], ["round", "1/2"], ["round", "1/2"]]


def test_bars_are_not_drawn_more_often_than_a_browser_likes(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    display = Display(Console(file=io.StringIO(), force_jupyter=True))
    monkeypatch.setattr("distal.notebook.bar.time.monotonic", lambda: 100.0)
    for done in range(1000):
        display(Event(1, "train", done, 1000))
    assert len(cell.drawn[0]) <= 3

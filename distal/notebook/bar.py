"""Draw a bar in a notebook's cell: one line of HTML that is drawn again in place, without a widget."""

import html
import time
from typing import Any

EVERY_S = 0.2
"""Seconds between two drawings: each is a message to the browser."""


class NotebookBar:
    """Hold one line of a cell's output, above what the cell prints."""

    def __init__(self) -> None:
        from IPython.display import HTML, display  # which is there wherever a notebook is

        self._html = HTML
        self._handle: Any = display(HTML(""), display_id=True)
        self._drawn = 0.0

    def draw(self, title: str, done: int, total: int, facts: str) -> None:
        """Draw a phase, unless that was done just now. total: 0 where it is unknown."""
        if time.monotonic() - self._drawn < EVERY_S:
            return
        self._drawn = time.monotonic()
        amount = f' value="{done}" max="{total}"' if total else ""
        title, facts = html.escape(title), html.escape(facts)
        self._handle.update(
            self._html(
                f'<div style="display:flex;gap:1em;align-items:center"><span>{title}</span><progress '
                f'aria-label="{title}" style="flex:1;max-width:30em"{amount}></progress><span>{facts}</span></div>'
            )
        )

    def clear(self) -> None:
        """Leave the line empty: what is finished has a line of its own."""
        self._handle.update(self._html(""))
        self._drawn = 0.0

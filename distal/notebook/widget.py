"""Be the widget that labels images in a notebook; imported only where one is made, for anywidget is an extra."""

import base64
from collections import deque
from pathlib import Path
from typing import Any, Protocol

import anywidget
import traitlets

from distal.data.digits import encode_png
from distal.errors import DistalError
from distal.oracle import Asked, Item

AHEAD = 4
"""Images that the page holds beside the one that it shows, so that nobody waits for the next."""


class Answers(Protocol):
    """What is used of `distal.ActiveLearner`."""

    def answer(self, row_ids: list[int], labels: list[int | None], annotator: str) -> None:
        """Keep the labels of rows that were asked."""


class LabelWidget(anywidget.AnyWidget):  # type: ignore[misc]
    """Show what is asked, one image at a time, and keep each answer before the next is sent.

    asked: None where the run has ended. end: what is shown once nothing is left.
    """

    _esm = Path(__file__).with_name("widget.js")
    _css = Path(__file__).with_name("widget.css")
    classes = traitlets.List(traitlets.Unicode()).tag(sync=True)
    items = traitlets.List().tag(sync=True)
    left = traitlets.Int().tag(sync=True)
    total = traitlets.Int().tag(sync=True)
    problem = traitlets.Unicode().tag(sync=True)
    end = traitlets.Unicode().tag(sync=True)

    def __init__(self, answers: Answers, asked: Asked | None, end: str, annotator: str) -> None:
        self._answers = answers
        self._annotator = annotator
        self._rest = iter(()) if asked is None else iter(asked)
        self._shown: deque[dict[str, Any]] = deque()
        self._fill()
        number = 0 if asked is None else len(asked)
        names = [] if asked is None else list(asked.classes)
        super().__init__(classes=names, items=list(self._shown), left=number, total=number, end=end)
        self.on_msg(self._hear)

    def _hear(self, widget: object, content: Any, buffers: object) -> None:
        """Keep an answer that the page sends; one that is sent again is known."""
        row_id, label = content["row_id"], content["label"]
        if all(item["row_id"] != row_id for item in self._shown):
            return
        try:
            self._answers.answer([row_id], [label], self._annotator)
        except DistalError as error:
            self.problem = str(error)
            return
        self._shown = deque(item for item in self._shown if item["row_id"] != row_id)
        self._fill()
        with self.hold_sync():
            self.problem = ""
            self.items = list(self._shown)
            self.left -= 1

    def _fill(self) -> None:
        while len(self._shown) <= AHEAD and (item := next(self._rest, None)) is not None:
            self._shown.append(_as_sent(item))


def _as_sent(item: Item) -> dict[str, Any]:
    data = base64.b64encode(encode_png(item.image)).decode()
    return {"row_id": item.row_id, "path": item.path, "image": f"data:image/png;base64,{data}"}

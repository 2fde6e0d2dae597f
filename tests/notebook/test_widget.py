"""The widget sends images ahead, and takes an image off only once its answer is kept."""

import numpy as np
import pytest

from distal.errors import OracleError
from distal.notebook.labeling import label_widget
from distal.notebook.widget import AHEAD, LabelWidget
from distal.oracle import Item
from distal.stopping import Outcome

ROWS = list(range(10, 19))


class Asked(list):
    classes = ("good", "<b>crack</b>")


class Learner:
    """Stand for a learner: asks for nine rows once, and refuses row 12."""

    def __init__(self) -> None:
        self.kept: list[tuple[list[int], list[int | None], str]] = []
        self.outcome_ = Outcome("stopped", "budget", "the label budget is spent: 9 of 9")

    def query(self) -> Asked | None:
        images = [Item(row, np.full((6, 5), row, np.uint8), f"{row}.png", 1) for row in ROWS]
        return None if self.kept else Asked(images)

    def answer(self, row_ids: list[int], labels: list[int | None], annotator: str) -> None:
        if row_ids == [12] and labels == [1]:
            raise OracleError("answer: row 12: refused\nfor a test")
        self.kept.append((row_ids, labels, annotator))


@pytest.fixture
def learner() -> Learner:
    return Learner()


def shown(widget: LabelWidget) -> list[int]:
    return [item["row_id"] for item in widget.items]


def press(widget: LabelWidget, row_id: int, label: int | None) -> None:
    """Say what the page says at a key."""
    widget._handle_custom_msg({"row_id": row_id, "label": label}, [])


def test_answers_are_kept_in_the_order_of_the_keys_and_the_next_images_follow(learner: Learner) -> None:
    widget = label_widget(learner, "ann")  # type: ignore[arg-type]
    assert (shown(widget), widget.left, widget.total) == (ROWS[: AHEAD + 1], 9, 9)
    assert widget.items[0]["image"].startswith("data:image/png;base64,")
    press(widget, 10, 1)
    press(widget, 11, None)
    assert learner.kept == [([10], [1], "ann"), ([11], [None], "ann")]
    assert (shown(widget), widget.left) == (ROWS[2 : AHEAD + 3], 7)


def test_a_refused_answer_is_shown_and_its_image_stays(learner: Learner) -> None:
    widget = label_widget(learner)  # type: ignore[arg-type]
    press(widget, 10, 0)
    press(widget, 11, 0)
    press(widget, 12, 1)
    assert "row 12: refused" in widget.problem
    assert shown(widget)[0] == 12
    press(widget, 12, 0)
    assert (widget.problem, shown(widget)[0]) == ("", 13)


def test_an_answer_that_is_sent_twice_counts_once(learner: Learner) -> None:
    widget = label_widget(learner)  # type: ignore[arg-type]
    press(widget, 10, 0)
    press(widget, 10, 1)
    press(widget, 99, 1)
    assert [rows for rows, _, _ in learner.kept] == [[10]]


def test_once_the_run_has_ended_the_widget_says_so(learner: Learner) -> None:
    learner.kept.append(([1], [1], ""))
    widget = label_widget(learner)  # type: ignore[arg-type]
    assert (widget.total, widget.items) == (0, [])
    assert widget.end == "The run has ended: the label budget is spent: 9 of 9"

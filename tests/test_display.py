"""A run's events as a person sees them, on a terminal of 80 columns and in a log."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from distal.cli.display import Display
from distal.progress import Event

LOSSES: dict[str, float | str] = {f"a_long_name_of_a_loss_{n}": 0.123 for n in range(9)}
SCORES: dict[str, float | str] = {"labels": 1060, "fd_pool-cnn": 12.345, "accuracy": 0.91}
ROUNDS: dict[str, float | str] = {"rounds": 10}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [0.0]
    with monkeypatch.context() as patch:
        patch.setattr("distal.cli.display.time.monotonic", lambda: now[0])
        yield now


def terminal() -> Display:
    return Display(Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, _environ={}))


def live_line(display: Display) -> str:
    assert display.live is not None
    page = Console(file=io.StringIO(), width=80, color_system=None, record=True)
    page.print(display.live.get_renderable())
    lines = page.export_text().splitlines()
    assert len(lines) == 1
    assert len(lines[0]) <= 80
    return lines[0]


def one_round(display: Display, clock: list[float], number: int) -> None:
    for phase, seconds in (("acquire", 1), ("annotate", 9), ("train", 100), ("evaluate", 10)):
        display(Event(number, phase, 0, 50))
        clock[0] += seconds
    display(Event(number, "commit", number, 10, SCORES))


def test_at_80_columns_the_live_line_has_bar_count_time_left_distance_and_labels_before_any_loss(
    clock: list[float],
) -> None:
    display = terminal()
    display(Event(0, "prepare", 0, 900, ROUNDS))
    one_round(display, clock, 1)
    display(Event(2, "train", 0, 2000))
    clock[0] += 40
    display(Event(2, "train", 800, 2000, LOSSES))
    line = live_line(display)
    assert line.startswith("round 2/10 train ━")
    assert line.index("800/2,000") - len("round 2/10 train ") > 8
    left = 100 - 40 + 10 + 8 * 120  # of this round, then eight whole ones
    for words in ("800/2,000", f"{left // 60}:{left % 60:02d} left", "distance 12.3", "1,060 labels"):
        assert words in line
    assert "loss" not in line
    display(Event(2, "end"))


def test_losses_are_shown_where_they_have_room_and_the_clock_before_the_first_round_is_the_phases() -> None:
    display = terminal()
    display(Event(1, "train", 20, 400, {"generator": 0.5, **LOSSES}))
    line = live_line(display)
    assert "20/400  0:00  generator 0.5" in line
    assert "name_of_a_loss_1" not in line
    display(Event(1, "end"))
    assert display.live is None


def test_the_training_of_the_extractor_shows_its_steps() -> None:
    display = terminal()
    display(Event(0, "extractor", 0, 0))
    display(Event(0, "extractor", 340, 1500))
    assert live_line(display).startswith("extractor ━")
    assert "340/1,500" in live_line(display)
    display(Event(0, "end"))


def test_features_say_disk_and_time_first_then_images_a_second_and_the_time_left(clock: list[float]) -> None:
    display = terminal()
    first: dict[str, float | str] = {"per_s": 98.4, "left_s": 1925.0, "bytes_to_write": 5.12e8}
    display(Event(1, "features", 10_000, 200_000, first))
    assert "190,000 images to look at, once: 512 MB of disk, about 32 min 05 s" in display.console.file.getvalue()  # type: ignore[attr-defined]
    display(Event(1, "features", 50_000, 200_000, {"per_s": 98.4, "left_s": 1524.0}))
    assert live_line(display).endswith("50,000/200,000  25:24 left  98 images/s")
    display(Event(1, "end"))


def test_without_a_terminal_each_phase_leaves_a_line_in_words_that_a_user_knows(clock: list[float]) -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=80))
    display(Event(0, "prepare", 0, 900, ROUNDS))
    display(Event(0, "prepare", 900, 900, {"available": 890, "skipped": 2}))
    facts: dict[str, float | str] = {"strategy": "badge", "rows": 900, "passes": 3, "bytes": 99, "scorer_bytes": 7}
    display(Event(1, "acquire", 20, 20, facts))
    clock[0] += 5
    display(Event(1, "annotate", 20, 20))
    display(Event(1, "train", 400, 400, LOSSES))
    clock[0] += 60
    display(Event(1, "evaluate", 500, 500))
    display(Event(1, "commit", 1, 10, SCORES))
    assert display.live is None
    said = file.getvalue().splitlines()
    assert said[0] == "start       prepare       0.0 s  900 rows       890 may be asked  2 cannot be read"
    assert said[1] == "round 1/10  acquire       5.0 s  20 labels      badge, 900 rows scored"
    assert said[3].endswith(" 0.123")  # a log has room for every loss
    assert said[5] == "round 1/10  committed  1,060 labels, distance 12.3, accuracy 0.91; about 9 min 45 s left"


def test_without_a_terminal_a_phase_that_lasts_says_once_a_minute_how_far_it_is(clock: list[float]) -> None:
    file = io.StringIO()
    display = Display(Console(file=file, width=80))
    for done in (0, 20, 40, 60):
        display(Event(1, "train", done, 400, {"rounds": 4}))
        clock[0] += 45
    display(Event(1, "evaluate", 500, 500))
    said = [line.split("  ", 1)[1].strip() for line in file.getvalue().splitlines()]
    assert said[0] == "train        90.0 s  40 of 400 steps so far"
    assert [line[:20] for line in said] == ["train        90.0 s ", "train       180.0 s "]


def test_a_display_begins_anew_when_a_run_has_ended(clock: list[float]) -> None:
    display = terminal()
    display(Event(0, "prepare", 0, 900, ROUNDS))
    one_round(display, clock, 1)
    display(Event(1, "end"))
    display(Event(1, "train", 0, 400))
    assert display.time_left() is None
    assert live_line(display).startswith("round 1 train ")
    display(Event(1, "end"))


def test_time_passes_between_two_events(clock: list[float]) -> None:
    display = terminal()
    display(Event(1, "annotate", 0, 20))
    clock[0] += 75
    assert live_line(display).endswith("0/20  1:15")
    display(Event(1, "end"))

"""Numbers in words."""

import pytest

from distal.report.wording import count, duration, duration_unit, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3072.4, "3,072"),
        (4.71, "4.71"),
        (611.0, "611"),
        (0.012345, "0.01235"),
        (0.0, "0"),
        (-0.5, "-0.5"),
        (100.0, "100"),
        (9999.7, "10,000"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_numbers_have_four_digits_and_grouped_thousands(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.042, "0.042 s"),
        (13.24, "13.2 s"),
        (59.99, "1 min 00 s"),
        (125.0, "2 min 05 s"),
        (3599.9, "1 h 00 min"),
        (12000.0, "3 h 20 min"),
        (187200.0, "2 d 4 h"),
        (None, "–"),
        (float("inf"), "–"),
        (float("nan"), "–"),
    ],
)
def test_durations_are_in_natural_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_long_bars_are_drawn_in_minutes_or_hours() -> None:
    assert duration_unit(30.0) == ("seconds", 1.0)
    assert duration_unit(300.0) == ("minutes", 60.0)
    assert duration_unit(30000.0) == ("hours", 3600.0)


def test_shares_and_counts_read_as_written_by_a_person() -> None:
    assert percent(0.9512) == "95.1%"
    assert percent(None) == "–"
    assert count(1, "label") == "1 label"
    assert count(1200, "label") == "1,200 labels"

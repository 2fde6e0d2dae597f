"""The curves and bars as SVG."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from distal.report.figures import Line, distance_curves, share_curves, time_bars

LABELS = [10, 20, 30]
DISTANCES = [Line("all images", [611.0, 75.0, 9.3]), Line("worst class", [900.0, None, 20.0])]


def _figures() -> list[str]:
    return [
        distance_curves(LABELS, DISTANCES, goal=10.0),
        share_curves(LABELS, [Line("accuracy of the head", [0.6, 0.8, 0.95])]),
        time_bars([1, 2, 3], [Line("acquire", [0.6, 0.6, None]), Line("train", [13.0, 14.0, 15.0])]),
    ]


def test_figures_are_well_formed_and_name_no_address() -> None:
    for svg in _figures():
        ElementTree.fromstring(svg.replace("xlink:href", "href"))
        assert "http" not in svg
        assert "<metadata" not in svg


def test_figures_take_their_colours_from_the_page() -> None:
    for svg in _figures():
        assert "var(--series-1)" in svg
        assert not re.search(r"#[01]1?0?[0-9]{4,5}\b", svg), "a placeholder colour is left"


def test_ids_of_several_figures_do_not_meet() -> None:
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in _figures()]
    assert len(ids[0] | ids[1] | ids[2]) == sum(map(len, ids))
    for svg, own in zip(_figures(), ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own


def test_the_same_values_give_the_same_figure() -> None:
    assert _figures() == _figures()


def test_a_wide_range_of_distances_is_drawn_on_a_logarithmic_axis() -> None:
    assert ">1,000<" in distance_curves(LABELS, DISTANCES)
    assert ">0<" in distance_curves(LABELS, [Line("all images", [12.0, 10.0, 9.3])])


def test_the_goal_is_named() -> None:
    assert "goal 10" in distance_curves(LABELS, DISTANCES, goal=10.0)


@pytest.mark.parametrize("values", [[5.0], [None], [0.0]])
def test_one_round_is_enough(values: list[float | None]) -> None:
    assert "<svg" in distance_curves([10], [Line("all images", values)])
    assert "<svg" in time_bars([1], [Line("train", values)])


def test_long_times_are_drawn_in_hours() -> None:
    svg = time_bars([1, 2], [Line("train", [9000.0, 10800.0])])
    assert ">hours<" in svg
    assert ">3<" in svg

"""The figures of a sweep as SVG."""

import re
import warnings
import xml.etree.ElementTree as ElementTree
from html import unescape
from pathlib import Path
from typing import Any

import made_sweep
import pytest
from made_sweep import trial

from distal.sweep.coordinates import RANKS, parallel_coordinates
from distal.sweep.figures import TrialBar, importance_bars, learning_curves, round_bars
from distal.sweep.importance import KeyShare
from distal.sweep.page import by_rank
from distal.sweep.results import Results
from distal.sweep.series import gather
from distal.sweep.space import parse_space

METRIC = ("distance", "Fréchet distance")
HOSTILE = ["<script>alert(1)</script>", "$x^2$", "_hidden", "#110101", 'id="a" href="#b"', "日本 🙂", "a\nb\x07"]


def _space(results: Results, metric: tuple[str, str] = METRIC) -> str:
    dimensions = parse_space(results.sweep.space).dimensions
    titles = [dimension.key for dimension in dimensions]
    return parallel_coordinates(by_rank(results), dimensions, titles, metric, results.mode)


def _figures(results: Results) -> list[str]:
    series = gather(results).series
    bars = [TrialBar(t.name, t.state, len(t.curve), 6) for t in results.trials]
    shares = [KeyShare(key, 0.5, 0.1) for key in results.sweep.space]
    return [
        learning_curves(series, METRIC[1], False, "labels"),
        learning_curves(series, METRIC[1], False, "compute"),
        _space(results),
        importance_bars(shares),
        round_bars(bars),
    ]


def _texts(svg: str) -> list[str]:
    return [unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]


def _hostile(tmp_path: Path) -> Results:
    trials = [trial({"train.augment": value}, 2.0 + i) for i, value in enumerate(HOSTILE)]
    return made_sweep.results_of(trials, tmp_path, {"train.augment": HOSTILE})


@pytest.mark.parametrize("points", [1, 24, 200])
def test_figures_are_well_formed_and_take_their_colours_from_the_page(tmp_path: Path, points: int) -> None:
    for svg in _figures(made_sweep.asha(tmp_path, points)):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))
        assert "http" not in svg
        assert not re.search(r"#[01][012]0[0-9]{3}\b|#1[12]0\d0\d", svg), "a placeholder colour is left"
        assert "nan" not in svg


def test_ids_of_several_figures_do_not_meet(tmp_path: Path) -> None:
    figures = _figures(made_sweep.asha(tmp_path))
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in figures]
    assert len(set.union(*ids)) == sum(map(len, ids))
    for svg, own in zip(figures, ids, strict=True):
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= own


def test_the_same_trials_give_the_same_figures(tmp_path: Path) -> None:
    assert _figures(made_sweep.asha(tmp_path)) == _figures(made_sweep.asha(tmp_path))


def test_what_a_user_calls_a_value_is_text_and_nothing_else(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a letter that Matplotlib's font lacks is the browser's to draw
        figures = _figures(_hostile(tmp_path))
    for svg in (figures[0], figures[2]):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))
        assert "<script" not in svg
        assert {*HOSTILE[1:6], "a b"} <= set(_texts(svg))
        assert any(text.startswith("<script>") for text in _texts(svg))


def test_a_key_of_the_user_is_text_too() -> None:
    svg = importance_bars([KeyShare("<b>$x^2$</b>", 1.0, 0.0)])
    assert "<b>$x^2$</b>" in _texts(svg)
    svg = round_bars([TrialBar("<b>$x^2$</b>", "finished", 1, 2)])
    assert "<b>$x^2$</b>" in _texts(svg)


def test_the_name_of_the_metric_cannot_leave_its_attribute(tmp_path: Path) -> None:
    svg = learning_curves(gather(made_sweep.asha(tmp_path)).series, '" onload="x', False, "labels")
    ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert 'onload="' not in svg


def test_stopped_trials_end_in_a_cross(tmp_path: Path) -> None:
    point = {"query.strategy": "margin"}
    svgs = []
    for state in ("finished", "stopped"):
        results = made_sweep.results_of([trial(point, 2.0, 0, state), trial(point, 3.0, 1)], tmp_path)
        svgs.append(learning_curves(gather(results).series, METRIC[1], False, "labels"))
    assert svgs[1].count("<use") == svgs[0].count("<use") + 1


def test_one_trial_has_no_band(tmp_path: Path) -> None:
    point = {"query.strategy": "margin"}
    for seeds, bands in (((0,), 0), ((0, 1), 1)):
        results = made_sweep.results_of([trial(point, 2.0 + seed, seed) for seed in seeds], tmp_path)
        assert learning_curves(gather(results).series, METRIC[1], False, "labels").count("fill-opacity: 0.13") == bands


def test_more_series_than_colours_are_dashed(tmp_path: Path) -> None:
    sizes = list(range(1, 9))
    trials = [trial({"query.batch": size}, float(size)) for size in sizes]
    results = made_sweep.results_of(trials, tmp_path, {"query.batch": sizes})
    svg = learning_curves(gather(results).series, METRIC[1], False, "labels")
    assert svg.count("stroke-dasharray") == 2 * 2  # line and legend of the seventh and the eighth


def test_a_share_is_drawn_in_percent(tmp_path: Path) -> None:
    trials = [trial({"query.strategy": "margin"}, 0.9, start=0.5)]
    results = made_sweep.results_of(trials, tmp_path, metric="accuracy")
    assert "90%" in _texts(learning_curves(gather(results).series, "Accuracy", True, "labels"))
    assert any(text.endswith("%") for text in _texts(_space(results, ("accuracy", "Accuracy"))))


def test_the_better_end_of_the_objective_is_on_top(tmp_path: Path) -> None:
    for metric, order in (("distance", ("2", "4")), ("accuracy", ("40.0%", "20.0%"))):
        ends = (2.0, 4.0) if metric == "distance" else (0.2, 0.4)
        trials = [trial({"query.strategy": "margin"}, end, i, start=end) for i, end in enumerate(ends)]
        space = {"query.strategy": ["margin", "badge"]}
        svg = _space(made_sweep.results_of(trials, tmp_path, space, metric=metric), (metric, "score"))
        heights = {text: _height(svg, text) for text in order}
        assert heights[order[0]] < heights[order[1]], "y counts downwards in SVG"


def _height(svg: str, text: str) -> float:
    found = re.search(rf'<text[^>]*translate\([\d.]+ ([\d.]+)\)[^>]*>{text}<|<text[^>]*y="([\d.]+)"[^>]*>{text}<', svg)
    assert found, svg
    return float(found[1] or found[2])


def test_a_conditional_key_that_is_missing_has_its_own_place(tmp_path: Path) -> None:
    assert "not set" in _texts(_space(made_sweep.asha(tmp_path)))


def test_values_outside_the_space_are_drawn_too(tmp_path: Path) -> None:
    space: dict[str, Any] = {"model.learning_rate_g": {"loguniform": [1e-3, 1e-2]}, "query.strategy": ["margin"]}
    trials = [trial({"model.learning_rate_g": 1e-4, "query.strategy": "badge"}, 2.0)]
    texts = _texts(_space(made_sweep.results_of(trials, tmp_path, space)))
    assert {"0.0001", "badge", "margin"} <= set(texts)


def test_ranks_have_as_many_colours_as_the_page_defines() -> None:
    assert len(set(RANKS)) == 6


def test_many_trials_do_not_make_a_tall_figure(tmp_path: Path) -> None:
    heights = []
    for n in (10, 200):
        svg = round_bars([TrialBar(f"t{i}", "stopped", 1, 6) for i in range(n)])
        found = re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', svg)
        assert found
        heights.append(float(found[1]))
    assert heights[1] < 6 * 72 < 4 * heights[0]

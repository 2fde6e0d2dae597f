"""The map of the pool on the page."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from digits_run import DIGITS, make_run

from distal.report.collect import collect
from distal.report.pool_map import _path, map_view
from distal.report.write import write_report
from distal.run.directory import RunDirectory
from distal.run.given import given_labels
from distal.run.ledger import Ledger
from distal.run.map import MAP, PoolMap, write_map

NONE = given_labels(np.empty(0, np.int64), np.empty(0, np.int64))


def map_of(run: RunDirectory) -> PoolMap:
    """Return a map with 50 rows of the pool and every row asked."""
    asked = Ledger(run).asked()
    rows = np.union1d(asked, np.arange(2000, 2050))
    places = np.random.default_rng(0).uniform(-1, 1, (len(rows), 2)).astype(np.float32)
    return PoolMap(rows, places, rows >= 2000)


def test_labels_differ_by_class_the_query_has_rings_and_the_pool_is_dots(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2, unfinished=4, stopped=False)
    record = collect(run)
    view = map_view(map_of(run), record, given_labels(np.array([2000, 9999]), np.array([7, 7])), DIGITS)
    figure = ElementTree.fromstring(str(view.figure))
    (dots,) = figure.findall("path[@class='pool']")
    assert dots.attrib["d"].count("h0") == view.sample - 1 == 49  # of one the label was given
    answered = [row for r in record.rounds for row in r.asked if row.state != "waiting"]
    assert len(figure.findall("path[title]")) == len(answered) + 1
    assert len(figure.findall("circle")) == 10  # waiting or not
    assert view.open_round == 3
    counts = {entry.name: entry.rows for entry in view.key}
    assert sum(counts.values()) == len(answered) + 1
    assert counts["declined"] == 1


def test_thirty_six_classes_have_symbols_of_their_own() -> None:
    assert len({_path(label) for label in range(36)}) == 36
    shapes = [re.sub(" class=.*? d", "", _path(label)) for label in range(6)]
    assert len(set(shapes)) == 6  # whoever sees no colours tells these apart


def test_a_page_shows_the_map_without_the_pool_and_names_are_data(tmp_path: Path) -> None:
    hostile = ("<script>x</script>", *DIGITS[1:])
    run = make_run(tmp_path, rounds=2, classes=hostile)
    write_map(run, map_of(run))
    write_report(run, None, hostile)
    html = run.read("report.html").decode()
    assert '<section id="map">' in html
    assert "rings are the query of round 2" in html
    assert "<script" not in html


def test_a_damaged_map_costs_the_map_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=1)
    run.write(MAP, b"not a map")
    write_report(run, None, DIGITS)
    html = run.read("report.html").decode()
    assert "map.parquet is damaged" in html
    assert "Quality against labels spent" in html


def test_a_map_with_no_row_that_was_asked_is_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=0, stopped=False)
    assert map_view(map_of(run), collect(run), NONE, DIGITS).key == ()

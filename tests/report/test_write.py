"""The page as a file."""

import logging
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from digits_run import DIGITS, DigitsTable, make_run

from distal.errors import PoolError
from distal.report.write import write_report
from distal.run.directory import RunDirectory

HOSTILE = ("<script>alert('class')</script>", '"><img src=http://x.invalid onerror=alert(1)>', "$x_1$ & 50%", "_ok")
VOID = {"meta", "img", "br", "link", "input", "hr"}


class _Outline(HTMLParser):
    """Check that tags nest, and collect addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")], "an event handler"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _page(run: RunDirectory, images: Any = None, classes: Any = DIGITS) -> str:
    uri = write_report(run, images, classes)
    assert uri == f"{run.uri}/report.html"
    return run.read("report.html").decode()


def _outline(html: str) -> _Outline:
    outline = _Outline()
    outline.feed(html)
    outline.close()
    assert outline.open == []
    return outline


def test_the_page_holds_every_part_and_needs_nothing_else(tmp_path: Path) -> None:
    html = _page(make_run(tmp_path, skipped=2), DigitsTable())
    for part in ("quality", "samples", "asked", "classes", "scores", "time", "skipped", "configuration", "environment"):
        assert f'<section id="{part}">' in html
    outline = _outline(html)
    assert all(address.startswith(("data:image/png;base64,", "#")) for address in outline.addresses)
    assert not outline.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"https?://|url\((?!#)|@import", html)
    assert html.count('<div class="thumb ') == 50
    assert "torch 2.13.0" in html


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2)
    assert _page(run, DigitsTable()) == _page(run, DigitsTable())


def test_names_are_data_and_never_markup(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2, classes=HOSTILE, stopped=False)
    run.write("skipped.json", b'[{"row_id": 3, "path": "<b>a&b</b>.png", "reason": "</td><script>"}]')
    run.write("stopped.json", b'{"message": "<i>because</i>"}')
    html = _page(run, DigitsTable(), HOSTILE)
    outline = _outline(html)
    assert not outline.tags & {"script", "i"}
    assert "&lt;script&gt;alert(&#39;class&#39;)&lt;/script&gt;" in html
    assert "&lt;b&gt;a&amp;b&lt;/b&gt;.png" in html
    assert not [a for a in outline.addresses if "invalid" in a]


def test_a_run_in_progress_shows_who_is_waited_for(tmp_path: Path) -> None:
    html = _page(make_run(tmp_path, rounds=2, unfinished=4, stopped=False), DigitsTable())
    assert "Round 3 waits for 6 labels" in html
    assert "4 labeled, 6 waiting" in html
    assert "not committed yet" in html


@pytest.mark.parametrize("unfinished", [0, 4])
def test_a_run_without_a_committed_round_has_a_page(tmp_path: Path, unfinished: int) -> None:
    html = _page(make_run(tmp_path, rounds=0, unfinished=unfinished, stopped=False), DigitsTable())
    _outline(html)
    assert "No round is committed yet" in html
    assert '<section id="quality">' not in html


def test_many_rounds_and_big_batches_are_cut_and_it_is_said(tmp_path: Path) -> None:
    html = _page(make_run(tmp_path, rounds=30, batch=60, skipped=70), DigitsTable())
    _outline(html)
    assert html.count('<div class="thumb ') == 30 * 20
    assert html.count("and 40 more</div>") == 30
    assert html.count('alt="Samples generated') == 12
    assert "18 more grids" in html
    assert "and 20 more in" in html
    assert len(html) < 3_000_000


def test_without_images_rows_are_shown_by_their_ids(tmp_path: Path) -> None:
    html = _page(make_run(tmp_path, rounds=1))
    assert html.count('<span class="blank">') == 10
    assert "images were not at hand" in html


def test_a_pool_that_moved_away_costs_the_thumbnails_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Gone:
        def pixels(self, row_ids: Any) -> Any:
            raise PoolError("pool.path: /mnt/scans does not exist")

    with caplog.at_level(logging.WARNING):
        html = _page(make_run(tmp_path, rounds=1), Gone())
    assert "could not be read: pool.path: /mnt/scans does not exist" in html
    assert "Quality against labels spent" in html
    assert "no thumbnails" in caplog.text


def test_scores_carry_extractor_hash_counts_and_note(tmp_path: Path) -> None:
    html = _page(make_run(tmp_path, rounds=1))
    row = re.search(r"<tr><td>Fréchet distance \(pool-cnn\)</td>.*?</tr>", html)
    assert row
    for text in ("9.3", "pool-cnn", "9f2c01234567", "2,000", "333", "biased upwards"):
        assert text in row[0]


def test_scores_that_are_missing_leave_gaps(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2)
    text = run.read("rounds/0002/metrics.json").decode()
    run.write("rounds/0002/metrics.json", re.sub(r'"value": [0-9.e-]+', '"value": null', text).encode())
    html = _page(run)
    _outline(html)
    assert "could not be computed" not in html
    run.write("rounds/0001/metrics.json", re.sub(r'"value": [0-9.e-]+', '"value": null', text).encode())
    assert "could not be computed" in _page(run)


def test_a_damaged_picture_is_named_in_its_place(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2)
    run.write("rounds/0001/samples.png", run.read("rounds/0001/samples.png")[:300])
    run.write("real.png", b"")
    html = _page(run)
    assert "samples.png of round 1 is damaged" in html
    assert "real.png is damaged" in html
    assert html.count('alt="Samples generated') == 1


def test_what_the_pictures_cannot_spell_is_said_in_the_page(tmp_path: Path) -> None:
    html = _page(make_run(tmp_path, rounds=1, classes=("猫", "dog")), classes=("猫", "dog"))
    assert "In the pictures #0 is 猫." in html

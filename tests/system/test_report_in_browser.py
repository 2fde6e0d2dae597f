"""The report in a real browser: it renders, every picture decodes, nothing is fetched."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from browser import IN_A_BROWSER, browse, probed, require_a_phones_width, require_light_and_dark
from digits_run import DigitsTable, make_run

from distal.report.write import write_report

CLASSES = ("<script>document.title='owned'</script>", *map(str, range(1, 10)))
PROBE = """<script>
window.addEventListener("load", () => {
  const images = [...document.images];
  const box = (selector) => Math.round(document.querySelector(selector).getBoundingClientRect().width);
  document.body.dataset.probe = JSON.stringify([
    images.length, images.filter((i) => i.naturalWidth > 0 && i.getBoundingClientRect().width > 0).length,
    box("#quality svg"), document.documentElement.scrollWidth, performance.getEntriesByType("resource")
      .filter((r) => !r.name.startsWith("data:")).length]);
});
</script>"""

pytestmark = IN_A_BROWSER


@pytest.fixture
def report(tmp_path: Path) -> Path:
    run = make_run(tmp_path, rounds=4, unfinished=4, classes=CLASSES, skipped=3, stopped=False)
    return Path(write_report(run, DigitsTable(), CLASSES))


def test_every_part_renders_and_every_picture_decodes(report: Path, tmp_path: Path) -> None:
    dom = probed(report, tmp_path, PROBE)
    found = re.search(r'data-probe="\[(\d+),(\d+),(\d+),(\d+),(\d+)\]"', dom)
    assert found, "the page did not load"
    images, decoded, curve_width, page_width, requests = map(int, found.groups())
    assert images == decoded == 4 + 50
    assert curve_width > 400
    assert page_width == 1200, "the page scrolls sideways"
    assert requests == 0
    assert "<title>digits: distal run report</title>" in dom, "a class name ran as a script"
    for text in ("Quality against labels spent", "Round 5 waits for 6 labels", "labels spent", "4 labeled, 6 waiting"):
        assert text in dom


def test_the_page_is_painted_in_light_and_in_dark(report: Path, tmp_path: Path) -> None:
    require_light_and_dark(report, tmp_path, height=700)


def test_it_fits_a_phone(report: Path, tmp_path: Path) -> None:
    require_a_phones_width(report, tmp_path)


def test_it_prints(report: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}", report.as_uri())
    assert paper.read_bytes().startswith(b"%PDF")
    assert paper.stat().st_size > 50_000

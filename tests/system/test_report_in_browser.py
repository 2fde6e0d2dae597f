"""The report in a real browser: it renders, every picture decodes, nothing is fetched."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from digits_run import DigitsTable, make_run

from distal.report import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
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

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the report in"),
]


def _browse(tmp_path: Path, *options: str) -> str:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _without_policy(report: Path) -> str:
    """The page forbids scripts; a test's probe goes into a copy without that rule, where it is the only one to run."""
    return re.sub(r"<meta http-equiv[^>]+>", "", report.read_text())


@pytest.fixture
def report(tmp_path: Path) -> Path:
    run = make_run(tmp_path, rounds=4, unfinished=4, classes=CLASSES, skipped=3, stopped=False)
    return Path(write_report(run, DigitsTable(), CLASSES, None))


def test_every_part_renders_and_every_picture_decodes(report: Path, tmp_path: Path) -> None:
    probed = tmp_path / "probed.html"
    probed.write_text(_without_policy(report).replace("</body>", PROBE + "</body>"))
    dom = _browse(tmp_path, "--window-size=1200,1000", "--virtual-time-budget=5000", "--dump-dom", probed.as_uri())
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
    means = []
    for scheme in ("1", "0"):  # chromium's preferredColorScheme: 0 dark, 1 light
        shot = tmp_path / f"shot{scheme}.png"
        options = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1200,700", f"--screenshot={shot}")
        _browse(tmp_path, *options, report.as_uri())
        pixels = np.asarray(Image.open(shot).convert("L"))
        assert pixels.std() > 10, "the page is blank"
        means.append(pixels.mean())
    assert means[0] > 200
    assert means[1] < 80


def test_it_fits_a_phone(report: Path, tmp_path: Path) -> None:
    # Headless windows are no narrower than 500 px: the page goes into a frame of a phone's width and tells its own.
    tell = "<script>onload=()=>parent.postMessage(document.documentElement.scrollWidth,'*')</script></body>"
    (tmp_path / "inner.html").write_text(_without_policy(report).replace("</body>", tell))
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<script>onmessage=(e)=>document.body.dataset.width=e.data</script>"
        '<iframe src="inner.html" style="width:390px;height:800px;border:0"></iframe>'
    )
    dom = _browse(tmp_path, "--virtual-time-budget=5000", "--dump-dom", outer.as_uri())
    assert re.findall(r'data-width="(\d+)"', dom) == ["390"], "the page scrolls sideways"


def test_it_prints(report: Path, tmp_path: Path) -> None:
    paper = tmp_path / "report.pdf"
    _browse(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={paper}", report.as_uri())
    assert paper.read_bytes().startswith(b"%PDF")
    assert paper.stat().st_size > 50_000

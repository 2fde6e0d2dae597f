"""The report of a sweep in a real browser: it renders, runs nothing, fetches nothing, fits a phone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "sweep"))

from made_sweep import SPACE, asha

from distal.sweep.report import write_sweep_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
HOSTILE = "<script>document.title='owned'</script>"
PROBE = """<script>
window.addEventListener("load", () => {
  const box = (selector) => Math.round(document.querySelector(selector).getBoundingClientRect().width);
  document.body.dataset.probe = JSON.stringify([
    document.querySelectorAll("svg").length, box("#curves svg"), box("#space-figure svg"), box("#rounds svg"),
    document.documentElement.scrollWidth, performance.getEntriesByType("resource").length]);
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
    space = {**SPACE, "train.augment": {"choice": [HOSTILE, "shift"]}}
    return Path(write_sweep_report(asha(tmp_path, seeds=(0, 1), failed=2, unfinished=1, space=space)))


def test_every_figure_renders_and_nothing_of_the_users_runs(report: Path, tmp_path: Path) -> None:
    probed = tmp_path / "probed.html"
    probed.write_text(_without_policy(report).replace("</body>", PROBE + "</body>"))
    dom = _browse(tmp_path, "--window-size=1200,1000", "--virtual-time-budget=5000", "--dump-dom", probed.as_uri())
    found = re.search(r'data-probe="\[(\d+),(\d+),(\d+),(\d+),(\d+),(\d+)\]"', dom)
    assert found, "the page did not load"
    figures, curves, space, rounds, page_width, requests = map(int, found.groups())
    assert figures == 5
    assert curves > 400
    assert min(space, rounds) > 900
    assert page_width == 1200, "the page scrolls sideways"
    assert requests == 0
    assert "<title>digits: distal sweep report</title>" in dom, "a value of a choice ran as a script"


def test_it_is_painted_in_light_and_in_dark(report: Path, tmp_path: Path) -> None:
    means = []
    for scheme in ("1", "0"):  # chromium's preferredColorScheme: 0 dark, 1 light
        shot = tmp_path / f"shot{scheme}.png"
        options = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1200,1400", f"--screenshot={shot}")
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

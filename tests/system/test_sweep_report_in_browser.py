"""The report of a sweep in a real browser: it renders, runs nothing, fetches nothing, fits a phone."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sweep"))

from browser import IN_A_BROWSER, probed, require_a_phones_width, require_light_and_dark
from made_sweep import SPACE, asha

from distal.sweep.report import write_sweep_report

HOSTILE = "<script>document.title='owned'</script>"
PROBE = """<script>
window.addEventListener("load", () => {
  const box = (selector) => Math.round(document.querySelector(selector).getBoundingClientRect().width);
  document.body.dataset.probe = JSON.stringify([
    document.querySelectorAll("svg").length, box("#curves svg"), box("#space-figure svg"), box("#rounds svg"),
    document.documentElement.scrollWidth, performance.getEntriesByType("resource").length]);
});
</script>"""

pytestmark = IN_A_BROWSER


@pytest.fixture
def report(tmp_path: Path) -> Path:
    space = {**SPACE, "train.augment": {"choice": [HOSTILE, "shift"]}}
    return Path(write_sweep_report(asha(tmp_path, seeds=(0, 1), failed=2, unfinished=1, space=space)))


def test_every_figure_renders_and_nothing_of_the_users_runs(report: Path, tmp_path: Path) -> None:
    dom = probed(report, tmp_path, PROBE)
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
    require_light_and_dark(report, tmp_path, height=1400)


def test_it_fits_a_phone(report: Path, tmp_path: Path) -> None:
    require_a_phones_width(report, tmp_path)

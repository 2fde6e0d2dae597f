"""Open a report in a real, headless browser: what the tests of the pages share."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
IN_A_BROWSER = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine to open the report in"),
]


def browse(tmp_path: Path, *options: str) -> str:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def without_policy(report: Path) -> str:
    """The page forbids scripts; a test's probe goes into a copy without that rule, where it is the only one to run."""
    return re.sub(r"<meta http-equiv[^>]+>", "", report.read_text())


def probed(report: Path, tmp_path: Path, probe: str) -> str:
    """Return the page as it stands after it has loaded, with a script of the test's in it."""
    page = tmp_path / "probed.html"
    page.write_text(without_policy(report).replace("</body>", probe + "</body>"))
    return browse(tmp_path, "--window-size=1200,1000", "--virtual-time-budget=5000", "--dump-dom", page.as_uri())


def require_light_and_dark(report: Path, tmp_path: Path, height: int) -> None:
    means = []
    for scheme in ("1", "0"):  # chromium's preferredColorScheme: 0 dark, 1 light
        shot = tmp_path / f"shot{scheme}.png"
        size = f"--window-size=1200,{height}"
        options = (f"--blink-settings=preferredColorScheme={scheme}", size, f"--screenshot={shot}")
        browse(tmp_path, *options, report.as_uri())
        pixels = np.asarray(Image.open(shot).convert("L"))
        assert pixels.std() > 10, "the page is blank"
        means.append(pixels.mean())
    assert means[0] > 200
    assert means[1] < 80


def require_a_phones_width(report: Path, tmp_path: Path) -> None:
    # Headless windows are no narrower than 500 px: the page goes into a frame of a phone's width and tells its own.
    tell = "<script>onload=()=>parent.postMessage(document.documentElement.scrollWidth,'*')</script></body>"
    (tmp_path / "inner.html").write_text(without_policy(report).replace("</body>", tell))
    outer = tmp_path / "outer.html"
    outer.write_text(
        "<script>onmessage=(e)=>document.body.dataset.width=e.data</script>"
        '<iframe src="inner.html" style="width:390px;height:800px;border:0"></iframe>'
    )
    dom = browse(tmp_path, "--virtual-time-budget=5000", "--dump-dom", outer.as_uri())
    assert re.findall(r'data-width="(\d+)"', dom) == ["390"], "the page scrolls sideways"

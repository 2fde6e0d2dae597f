"""People judge in a real browser, by keys alone; what they are shown says nothing of what is real."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from browser import IN_A_BROWSER
from driven_browser import Browser
from sklearn.datasets import load_digits

from distal.label.guard import HERE
from distal.label.judging import Judging
from distal.label.server import link_to, listen_at, page_app, server
from distal.label.trials import Trials
from distal.run.directory import RunDirectory
from distal.run.judgements import judgements_of, tally

NAMES = tuple(map(str, range(10)))
TRIAL = "document.querySelector('.picture img') && document.querySelector('.picture img').src"

pytestmark = [*IN_A_BROWSER, pytest.mark.timeout(240)]


class Generator:
    """Generate real digits with noise upon them."""

    round = 3
    saved = SimpleNamespace(config=SimpleNamespace(seed=0), classes=NAMES)

    def __init__(self, pixels: Any, targets: Any) -> None:
        self._pixels, self._targets = pixels, targets

    def images(self, labels: Any, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        clean = np.stack([self._pixels[rng.choice(np.flatnonzero(self._targets == label))] for label in labels])
        return np.clip(clean + rng.normal(0, 40, clean.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def page(tmp_path: Path) -> Judging:
    digits = load_digits()
    pixels = (digits.images * 255 / 16).round().astype(np.uint8)[:, None]
    rows = np.arange(len(pixels), dtype=np.int64)
    trials = Trials(Generator(pixels, digits.target), rows, digits.target.astype(np.int64), lambda ids: pixels[ids])
    return Judging(RunDirectory.open(str(tmp_path), "digits"), 3, NAMES, trials, "ann")


@pytest.fixture
def link(page: Judging) -> Iterator[str]:
    token = "a-token-that-is-long-enough"
    with listen_at("127.0.0.1", 0) as listening:
        serving = server(page_app("judge", page.routes(), token, HERE))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield link_to(listening, token)
        serving.should_exit = True
        thread.join(20)


def judge(browser: Browser, key: str) -> None:
    before = browser.until(TRIAL)
    browser.press(key)
    browser.until(f"({TRIAL}) && ({TRIAL}) !== {before!r}")


def test_pairs_and_single_images_are_judged_by_keys_and_the_error_is_shown_as_it_goes(
    page: Judging, link: str, tmp_path: Path
) -> None:
    with Browser(tmp_path / "profile") as browser:
        browser.open(link)
        for number in range(1, 9):
            sides = page._trials.trial("ann", "real", number).sides
            fooled = number <= 2
            judge(browser, "ArrowLeft" if sides[0] == fooled else "ArrowRight")
        shown = browser.ask("document.querySelector('#batch-text').textContent")
        asked = browser.ask("performance.getEntriesByType('resource').map((each) => new URL(each.name).pathname)")
        browser.ask("document.querySelector('[data-kind=class]').click()")
        browser.until("document.querySelector('.question').textContent.startsWith('Is this: ')")
        for key in "yny":
            judge(browser, key)
    judged = judgements_of(page._run, 3).new()
    assert tally(judged, "real").wrong == 2
    assert shown == "8 judged by all · 25% of the generated taken for real (7% to 59%)"
    assert [judgement.wrong for judgement in judged[8:]] == [False, True, False]
    assert {path.rsplit("/", 2)[0] for path in asked if path.startswith("/image")} == {"/image/real"}

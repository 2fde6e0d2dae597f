"""People label in a real browser, by keys alone: one by one, in groups, two of them, and through a kill -9."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import IN_A_BROWSER
from driven_browser import Browser
from sklearn.metrics import cohen_kappa_score

from distal.checkpoints import read_saved
from distal.config import DatasetConfig
from distal.driver.page import page_beside
from distal.driver.preparation import Preparation
from distal.oracle import Classes, PageConfig, PageOracle, annotate
from distal.oracle.decided import corrections, opinions_of
from distal.progress import ignore
from distal.resolve import make_config
from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.ledger import Ledger, Query

NAMES = ["<img src=x onerror=\"document.title='owned'\">", *"123456789"]
BATCH = 10
SPOKEN = ("button", "textbox", "image", "progressbar", "dialog", "group", "navigation")
SHOWN = "document.querySelector('.stage img') && document.querySelector('.about').textContent"

pytestmark = [*IN_A_BROWSER, pytest.mark.timeout(240)]


def begin(storage: Path, repeat: float = 0.0) -> RunDirectory:
    """Begin a run of the embedded digits that people are to label."""
    oracle = {"kind": "page", "repeat": repeat}
    config = make_config(
        {"name": "r", "storage": str(storage), "oracle": oracle, "pool": {"classes": NAMES, "label_column": None}}
    )
    run = RunDirectory.open(str(storage), "r")
    Preparation(config, run).write(run)
    return run


def ask(run: RunDirectory, round: int) -> Query:
    rows = np.arange(7, 7 + BATCH, dtype=np.int64) + 100 * round
    query = Query(round, rows, np.zeros(BATCH, np.float32), "random")
    Ledger(run).write_query(query)
    return query


def drive(run: RunDirectory, rounds: int) -> None:
    """Be the run's driver, without its training: ask, wait for people, commit."""
    ledger, classes = Ledger(run, len(NAMES)), Classes(NAMES, {})
    with run.lock("driver"):
        for round in range(1, rounds + 1):
            ledger.correct(round, corrections(run, ledger, classes))
            assert annotate(ledger, PageOracle(run, classes, None), ask(run, round), ignore) is None
            run.commit(round)


class Server:
    """`distal label`, as a person starts it."""

    def __init__(self, run: RunDirectory, port: str = "0") -> None:
        command = [sys.executable, "-m", "distal", "label", run.uri, "--port", port]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.link = self.process.stdout.readline().split()[-1]
        self.port = re.findall(r":(\d+)/", self.link)[0]

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(20)


@contextmanager
def served(run: RunDirectory) -> Iterator[Server]:
    server = Server(run)
    try:
        yield server
    finally:
        server.end(signal.SIGKILL)


def shown(browser: Browser) -> str:
    return str(browser.until(SHOWN))


def decide(browser: Browser, key: str) -> str:
    """Press a key and wait until another image shows, or none is left; return what shows."""
    before = shown(browser)
    browser.press(key)
    browser.until(f"document.querySelector('.waiting') || ({SHOWN}) !== {before!r}")
    return before


def view(browser: Browser, name: str) -> None:
    browser.ask(f"document.querySelector('[data-view={name}]').click()")


def nameless(browser: Browser) -> list[str]:
    """Return the roles of what a screen reader meets on the page and cannot name."""
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    met = [node for node in nodes if not node["ignored"] and node["role"]["value"] in SPOKEN]
    assert len(met) > 10
    return [node["role"]["value"] for node in met if not node.get("name", {}).get("value", "").strip()]


def look_closely(browser: Browser) -> None:
    """Make an image larger, see it in its original size, raise and lower the contrast; the next one shows whole."""
    drawn = "document.querySelector('.stage img').style"
    browser.press("+")
    assert "scale(1.25)" in browser.ask(f"{drawn}.transform")
    browser.press("*")
    width = browser.ask("document.querySelector('.stage img').getBoundingClientRect().width * devicePixelRatio")
    stage = browser.ask("document.querySelector('.stage').clientWidth / document.querySelector('.stage').clientHeight")
    assert width == pytest.approx(8 * max(1.0, stage), rel=0.02), "a digit has 8 pixels, in a stage that is wider"
    browser.press("]")
    assert browser.ask(f"{drawn}.filter") == "contrast(1.25)"
    decide(browser, "3")
    assert "scale(1)" in browser.ask(f"{drawn}.transform")
    assert browser.ask(f"{drawn}.filter") == "contrast(1.25)"
    browser.press("[")
    assert browser.ask(f"{drawn}.filter") == ""


def test_a_browser_labels_six_rounds_by_keys_and_a_kill_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    run = begin(tmp_path)
    driver = threading.Thread(target=drive, args=(run, 6), daemon=True)
    driver.start()
    with served(run) as server, Browser(tmp_path / "profile") as browser:
        browser.open(server.link)
        shown(browser)
        assert nameless(browser) == []
        look_closely(browser)
        for _ in range(BATCH - 1):
            decide(browser, "3")
        browser.until("document.querySelector('#batch-text').textContent === 'Round 2 · 0 of 10'")
        for _ in range(4):
            decide(browser, "a")
        before = shown(browser)
        server.end(signal.SIGKILL)
        browser.press("2")
        browser.until("!document.querySelector('#banner').hidden")
        browser.press("5")  # while an answer is on its way, no other is given
        again = Server(run, server.port)
        try:
            browser.until(f"({SHOWN}) !== {before!r}")
            assert browser.ask("document.querySelector('#banner').hidden")
            assert [len(d.row_ids) for d in Journal(run, Decision).new()] == [1] * 15
            for _ in range(3):
                after = shown(browser)
                browser.press("Backspace")
                browser.until(f"({SHOWN}) !== {after!r}")
            assert opinions_of(run).latest_of(str(browser.ask("person.value"))).row_ids == (208,)
            for _ in range(BATCH - 2):
                decide(browser, "2")
            for _ in range(BATCH):
                decide(browser, "0")
            view(browser, "grid")
            browser.until("document.querySelector('.tile img')")
            assert nameless(browser) == []
            decisions = len(Journal(run, Decision).new())
            for _ in range(60):
                if not driver.is_alive():
                    break
                title = browser.until("document.querySelector('.tile img') && document.querySelector('h1').textContent")
                left = browser.ask("document.querySelector('.tile').dataset.row")
                browser.press("ArrowRight")
                browser.press("7")
                gone = f"document.querySelector('.tile')?.dataset.row !== {left!r}"
                browser.until(f"({gone}) || document.querySelector('h1').textContent !== {title!r}")
                driver.join(0.3)
            grouped = Journal(run, Decision).new()[decisions:]
            waits = browser.ask("performance.getEntriesByName('key to image').map((each) => each.duration)")
            assert browser.ask("document.title") == "Label r", "a class name ran as a script"
        finally:
            again.end()
    driver.join(20)
    assert run.committed() == [1, 2, 3, 4, 5, 6]
    answers = [answer for round in range(1, 7) for answer in Ledger(run).answers(round)]
    assert len({answer.row_id for answer in answers}) == len(answers) == 6 * BATCH
    assert [answer.label for answer in answers] == [2] * 10 + [9] * 2 + [1] * 8 + [None] * 10 + [6] * 30
    assert sum(len(decision.row_ids) for decision in grouped) == 30 > len(grouped)
    assert len(waits) >= 35


def test_two_people_are_shown_no_row_together_and_agree_as_far_as_scikit_learn_says(tmp_path: Path) -> None:
    run = begin(tmp_path, repeat=1.0)
    query = ask(run, 1)
    with served(run) as server, Browser(tmp_path / "ann") as ann, Browser(tmp_path / "bob") as bob:
        for browser, name in ((ann, "ann"), (bob, "bob")):
            browser.open(server.link)
            browser.until("document.querySelector('.waiting, .stage img')")
            browser.ask(f"person.value = '{name}', person.dispatchEvent(new Event('change', {{bubbles: true}}))")
        for turn in range(BATCH - 1):  # all but the one that bob is shown
            decide(ann, str(1 + turn % 3))
        for turn in range(BATCH):
            decide(bob, str(1 + (turn if turn < 6 else 0) % 3))
        decide(ann, "1")
        said = opinions_of(run)
        pairs = [[said.of(row)[name].label for row in query.row_ids.tolist()] for name in ("ann", "bob")]
        view(ann, "review")
        summary = ann.until("document.querySelector('.summary')?.textContent")
        disputed = ann.ask("document.querySelectorAll('.card').length")
        assert nameless(ann) == []
        ann.press("5")
        ann.until(f"document.querySelectorAll('.card').length === {disputed - 1}")
    kappa = cohen_kappa_score(*pairs)
    assert f"Cohen's kappa {kappa:.2f} (95%:" in summary
    assert disputed == sum(a != b for a, b in zip(*pairs, strict=True)) > 0
    settled = [decision for decision in Journal(run, Decision).new() if decision.settles]
    assert [(d.person, d.label) for d in settled] == [("ann", 4)]


def test_a_run_opens_its_page_again_if_it_is_killed_and_closes_it_when_the_run_ends(tmp_path: Path) -> None:
    run = begin(tmp_path)
    config = read_saved(run).config
    with page_beside(config.model_copy(update={"oracle": PageConfig(port=0)}), run):
        first = wait_for(lambda: run.holder("label"))
        assert first.pid > 0  # 0 would be this test's own process group
        os.kill(first.pid, signal.SIGKILL)  # as the system does where memory ends
        again = wait_for(lambda: (held := run.holder("label")) is not None and held.pid not in (0, first.pid) and held)
        os.kill(again.pid, signal.SIGTERM)  # by somebody who wants it ended: it stays so
        wait_for(lambda: run.holder("label") is None)
    assert run.holder("label") is None
    # Without a page of its own, a run opens none.
    with page_beside(config.model_copy(update={"oracle": DatasetConfig()}), run):
        assert run.holder("label") is None


def wait_for(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found

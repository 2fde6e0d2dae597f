"""Label 120 images of magnetic_tile over 6 rounds in a real, headless browser by keys, one by one and then in groups.

    python benchmarks/labeling_in_browser.py tiles [--seed 0] [KEY=VALUE ...]
    python benchmarks/labeling_in_browser.py queued [--rows 100000] [--decisions 100]

Needs chromium, and for `tiles` ../shared/data (or DATA=folder). `tiles` starts `distal run` with `train.every=6`, so
that the sixth round alone trains, and answers truthfully. In the middle of the first pass the page's server is killed
with signal 9 while an answer is on its way, the run opens another one, and three answers are undone and given again.
Printed are decisions, keys, the time between a key and the next image as the page measures it, the time from a batch's
last key to the next batch's first image, and the CPU time of the server. `queued` measures the first of these with a
long queue, and beside it what the same browser takes for a plain page whose key sends a request that a server of a few
lines answers at once, and shows an image that is loaded already. A person looks for a fifth of a second.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "system"))

from driven_browser import Browser
from labeling import begin
from machine import describe_machine
from plain_page import plain_page

from distal.run.directory import RunDirectory
from distal.run.journal import Decision, Journal
from distal.run.ledger import Ledger
from distal.run.results import read_result

DATA = Path(os.environ.get("DATA", Path(__file__).parents[2] / "shared" / "data")) / "magnetic_tile"
ROUNDS, BATCH, LOOKS_S = 6, 20, 0.2
SHOWN = "document.querySelector('.stage img') && document.querySelector('.about').textContent"
TILES = (
    "[...document.querySelectorAll('.tile')].every((tile) => tile.querySelector('img')) && "
    "[...document.querySelectorAll('.tile')].map((tile) => Number(tile.dataset.row)).join()"
)
WAITING = "document.querySelector('.waiting')"
SPANS = "performance.getEntriesByName('key to image').map((each) => each.duration)"


class Page:
    """Hold a page's server, the browser that it is open in, and what was measured there."""

    def __init__(self, process: subprocess.Popen[str], server: psutil.Process, browser: Browser) -> None:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("label: "))
        self.link = line.split()[-1]
        self.process, self.server, self.browser = process, server, browser
        self.keys, self.cpu_s = 0, 0.0
        self.spans_ms: list[float] = []
        self.batches_s: list[float] = []

    def press(self, key: str) -> None:
        self.browser.press(key)
        self.keys += 1

    def wait(self, expression: str, seconds: float = 1200.0) -> str:
        """Wait in the page until an expression is true, longer than its protocol waits for an answer."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with suppress(AssertionError):
                return str(self.browser.until(expression, 20.0))
        raise TimeoutError(expression)

    def cpu(self) -> float:
        times = self.server.cpu_times()
        return float(times.user + times.system)

    def next(self, before: str, looked_at: str) -> str:
        """Wait until something else shows, and note how long that took."""
        began = time.perf_counter()
        self.wait(f"{WAITING} || (({looked_at}) && ({looked_at}) !== {before!r})")
        if not self.browser.ask(f"Boolean({WAITING})"):
            self.spans_ms.append(self.browser.ask(SPANS)[-1])
            return str(self.browser.ask(looked_at))
        shown = self.wait(f"!{WAITING} && ({looked_at})")
        self.batches_s.append(time.perf_counter() - began)
        return shown


def start_run(folder: Path, name: str, seed: int, overrides: list[str]) -> tuple[subprocess.Popen[str], psutil.Process]:
    """Start `distal run`, and return it and the process that serves its page."""
    keys = [f"name={name}", f"storage={folder}", f"seed={seed}", f"pool.path={DATA}/train.parquet"]
    keys += [f"evaluate.path={DATA}/test.parquet", "pool.image_size=32", "oracle.kind=page", f"oracle.port={a_port()}"]
    keys += [f"rounds={ROUNDS}", f"query.batch={BATCH}", f"train.every={ROUNDS}", "train.steps=2", "train.threads=1"]
    command = [sys.executable, "-m", "distal", "run", *keys, "evaluate.samples=64", *overrides]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return process, server_of(process)


def a_port() -> int:
    """Return a port that is free: a page that is opened again has the one that it had."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def server_of(process: subprocess.Popen[str]) -> psutil.Process:
    """Return the process that serves a run's page, once there is one that lives."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if "--with-run" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        time.sleep(0.1)
    raise SystemExit(f"the run ended with {process.returncode} before its page was there")


def one_by_one(page: Page, run: RunDirectory, key_of: dict[str, str]) -> None:
    """Answer every image by its key; half way, kill the server in the middle of an answer."""
    shown = page.wait(SHOWN)
    began = page.cpu()
    for answered in range(1, ROUNDS * BATCH):
        if answered == ROUNDS * BATCH // 2 + 5:
            page.cpu_s += page.cpu() - began
            shown = killed(page, run, shown, key_of)
            began = page.cpu()
            continue
        time.sleep(LOOKS_S)
        page.press(key_of[shown])
        shown = page.next(shown, SHOWN)
    page.press(key_of[shown])
    page.wait(WAITING)
    page.cpu_s += page.cpu() - began


def killed(page: Page, run: RunDirectory, shown: str, key_of: dict[str, str]) -> str:
    """Kill the server, press a key, wait for another server, then take three answers back and give them again."""
    before = len(Journal(run, Decision).new())
    page.server.send_signal(signal.SIGKILL)
    page.press(key_of[shown])
    page.wait("!document.querySelector('#banner').hidden")
    page.server = server_of(page.process)
    page.wait(f"document.querySelector('#banner').hidden && ({SHOWN}) !== {shown!r}")
    assert len(Journal(run, Decision).new()) == before + 1, "the answer on its way is there once"
    taken_back: list[str] = []
    for _ in range(3):
        at = str(page.browser.ask(SHOWN))
        page.press("Backspace")
        taken_back.append(str(page.wait(f"({SHOWN}) !== {at!r} && ({SHOWN})")))
    assert taken_back[0] == shown
    for image in reversed(taken_back):
        page.press(key_of[image])
        page.wait(f"({SHOWN}) !== {image!r}")
    return page.wait(SHOWN)


def in_groups(page: Page, class_of: dict[int, int]) -> None:
    """Answer each group by the key of its commonest class, once the others are left out."""
    page.wait(SHOWN)
    page.browser.ask("document.querySelector('[data-view=grid]').click()")
    shown, answered = page.wait(TILES), 0
    began = page.cpu()
    while True:
        time.sleep(LOOKS_S)
        rows = [int(row) for row in shown.split(",")]
        commonest = Counter(class_of[row] for row in rows).most_common(1)[0][0]
        at = 0
        for place, row in enumerate(rows):
            if class_of[row] != commonest:
                for _ in range(place - at):
                    page.press("ArrowRight")
                page.press(" ")
                at = place
        page.press(str(1 + commonest))
        answered += sum(class_of[row] == commonest for row in rows)
        if answered == ROUNDS * BATCH:
            break
        shown = page.next(shown, TILES)
    page.wait(WAITING)
    page.cpu_s += page.cpu() - began


def show(title: str, page: Page, answers: int, decisions: int) -> None:
    spans, batches = np.array(page.spans_ms), [f"{seconds:.2f}" for seconds in page.batches_s]
    print(f"{title}: {answers} images, {decisions} decisions, {page.keys} keys; load {os.getloadavg()[0]:.1f}")
    print(
        f"  key to next image: median {np.median(spans):.1f} ms, p95 {np.percentile(spans, 95):.1f} ms, "
        f"{len(spans)} of them; CPU of the server {1000 * page.cpu_s / max(decisions, 1):.1f} ms a decision"
    )
    if batches:
        print(f"  last key of a batch to the next batch's first image: {', '.join(batches)} s")


def label_tiles(folder: Path, seed: int, overrides: list[str]) -> None:
    table = pq.read_table(DATA / "train.parquet")
    truths = table["label"].to_pylist()
    paths = table["image"].combine_chunks().field("path").to_pylist()
    key_of = {path: str(1 + label) for path, label in zip(paths, truths, strict=True)}
    assert len(key_of) == len(truths), "an image is known by its path"
    for name in ("one-by-one", "in-groups"):
        process, server = start_run(folder, name, seed, overrides)
        run = RunDirectory.open(str(folder), name)
        try:
            with Browser(folder / f"{name}-profile") as browser:
                page = Page(process, server, browser)
                browser.open(page.link)
                if name == "one-by-one":
                    one_by_one(page, run, key_of)
                else:
                    in_groups(page, dict(enumerate(truths)))
            process.wait(1800)
        finally:
            process.kill()  # its page ends with it
        answers = [answer for round in range(1, ROUNDS + 1) for answer in Ledger(run).answers(round)]
        assert len({answer.row_id for answer in answers}) == len(answers) == ROUNDS * BATCH
        assert all(answer.label == truths[answer.row_id] for answer in answers)
        show(name, page, len(answers), len(Journal(run, Decision).new()))
        results = [read_result(run, round) for round in run.committed()]
        print(f"  trained: {[result.trained for result in results]}; balanced accuracy of the probe after each round:")
        print("  " + ", ".join(f"{result.score('probe_accuracy_balanced'):.2f}" for result in results))


def label_queued(folder: Path, rows: int, decisions: int) -> None:
    run = begin(folder, rows)
    process = subprocess.Popen(
        [sys.executable, "-m", "distal", "label", run.uri, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    with Browser(folder / "profile") as browser:
        page = Page(process, psutil.Process(process.pid), browser)
        browser.open(page.link)
        shown = page.wait(SHOWN)
        began = page.cpu()
        for number in range(decisions):
            time.sleep(LOOKS_S)
            page.press(str(1 + number % 2))
            shown = str(page.next(shown, SHOWN))
        page.cpu_s = page.cpu() - began
        process.kill()
        show(f"{rows:,} rows queued", page, decisions, decisions)
        with plain_page() as link:
            browser.open(link)
            browser.until("document.querySelector('img')")
            for number in range(decisions):
                time.sleep(LOOKS_S)
                browser.press("1")
                browser.until(f"performance.getEntriesByName('key to image').length > {number}")
            plain = np.array(browser.ask(SPANS))
    ratio = np.array(page.spans_ms) / np.median(plain)
    print(f"  a plain page: median {np.median(plain):.1f} ms, p95 {np.percentile(plain, 95):.1f} ms")
    print(f"  ratio to its median: median {np.median(ratio):.2f}, p95 {np.percentile(ratio, 95):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["tiles", "queued"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--decisions", type=int, default=100)
    given, overrides = parser.parse_known_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "tiles":
            label_tiles(Path(folder), given.seed, overrides)
        else:
            label_queued(Path(folder), given.rows, given.decisions)


if __name__ == "__main__":
    main()

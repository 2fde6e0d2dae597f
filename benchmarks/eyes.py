"""Learning curves on cached features, as distal asks and learns: its projection, its probe, its selection.

    python benchmarks/eyes.py features POOL.parquet TEST.parquet OUT.npz [--network NAME] [--rows 8000]
    python benchmarks/eyes.py curves KEEP.jsonl [NAME=FEATURES.npz ...] [--seeds 8 9 ...] [--strategies NAME ...]
    python benchmarks/eyes.py table KEEP.jsonl

`features`: what a feature network makes of the first rows of two tables, by distal's cache: A, y of the pool, At, yt
of the test set. `curves`: every seed begins with 12 random rows of its own, then 12 a round (fewer before a mark), and
keeps the balanced accuracy on the test set after each round; `digits` needs no file: features are its pixels. Runs that
KEEP.jsonl has are not run again. `table`: means over seeds with 95% intervals (Student's t), and the labels of random
over those of the strategy until its mean curve reaches random's mean at the last mark (95% by bootstrap of seeds).
"""

import argparse
import itertools
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine
from scipy.stats import t as student
from sklearn.datasets import load_digits
from sklearn.metrics import balanced_accuracy_score

from distal.features.probe import Probe
from distal.features.projection import SAMPLE, Projection
from distal.query import STRATEGIES, LocalShards, Selector, View, choose_phase, select
from distal.streams import stream

STRATEGIES_COMPARED = ("random", "badge", "phases", "margin", "coreset", "cluster_margin", "search", "uherding")
SEEDS = tuple(range(8, 16))
"""Those of the table that the rule of `phases` was written from; it was confirmed on 100 to 107."""
BATCH, MARKS = 12, (40, 60, 120, 240)
COMPONENTS, TEST, DRAWS = 128, 2000, 2000

Curve = dict[int, float]


class Data:
    """Hold what a run sees of a data set: projected features [n, d] and classes of the pool and of the test set."""

    def __init__(self, name: str, path: str | None) -> None:
        self.name = name
        held = digits() if path is None else dict(np.load(path))
        sample = stream(0, "projection").permutation(len(held["y"]))[:SAMPLE]
        project = Projection.fit(held["A"][np.sort(sample)].astype(np.float16), COMPONENTS)
        self.x = project(torch.from_numpy(held["A"]).half())
        self.tested = project(torch.from_numpy(held["At"][:TEST]).half())
        self.y, self.truth = held["y"].astype(np.int64), held["yt"][:TEST]
        self.classes = int(self.y.max()) + 1

    def probe(self, asked: list[int], seed: int) -> Probe:
        """Learn from the rows that were asked."""
        return Probe.fit(self.x[asked], self.y[asked], self.classes, torch.zeros(self.x.shape[1]), seed)

    def run(self, name: str, seed: int) -> tuple[Curve, float]:
        """Return balanced accuracy by labels, and the seconds that selection took."""
        asked: list[int] = []
        curve: Curve = {}
        probe = self.probe(asked, seed)
        seconds, n = 0.0, len(self.y)
        while len(asked) < MARKS[-1]:
            round = len(curve) + 1
            counts = np.bincount(self.y[asked], minlength=self.classes)
            labels = np.full(n, -1)
            labels[asked] = self.y[asked]
            strategy = STRATEGIES.find(self._strategy(name, counts))
            tensors = {"embeddings": self.x}
            if "probs" in strategy.tensors:
                tensors["probs"] = probe.probs(self.x)
            view = View(np.arange(n), labels < 0, labels, 256, seed, round, tensors, counts)
            until = next(mark for mark in MARKS if mark > len(asked))
            begun = time.perf_counter()
            chosen = select(
                LocalShards([Selector(view, strategy)]), strategy, min(BATCH, until - len(asked)), seed, round
            )
            seconds += time.perf_counter() - begun
            asked += chosen.row_ids.tolist()
            if name == "random" and len(asked) not in MARKS:
                curve[len(asked)] = float("nan")  # nobody reads it there
                continue
            probe = self.probe(asked, seed)
            guesses = probe.probs(self.tested).argmax(1).numpy()
            curve[len(asked)] = float(balanced_accuracy_score(self.truth, guesses))
        return curve, seconds

    def _strategy(self, name: str, counts: np.ndarray) -> str:
        """Return what runs now: every run begins with a random batch."""
        if not counts.any():
            return "random"
        return choose_phase(counts, int(counts.sum()), MARKS[-1]).strategy if name == "phases" else name


def digits() -> dict[str, np.ndarray]:
    """Return scikit-learn's digits, whose features are the pixels: 1,297 rows to ask, 500 to test."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(len(y))
    x, y = (x[order] / 16.0).astype(np.float32), y[order]
    return {"A": x[:1297], "y": y[:1297], "At": x[1297:], "yt": y[1297:]}


def make_features(pool: str, test: str, out: str, name: str, rows: int) -> None:
    """Write what the network makes of the first rows of the pool and the first TEST rows of the test set.

    The files are shuffled, so a prefix is a fair sample; rows from all over a pool would embed nearly all of it.
    """
    from distal.communicator import Alone
    from distal.data.table import open_images
    from distal.features import FEATURES, FeatureRequest
    from distal.features.rows import EmbeddedRows
    from distal.resolve import make_config
    from distal.run.artefacts import Folder

    kept: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as cache:
        for path, names, count in ((pool, ("A", "y"), rows), (test, ("At", "yt"), TEST)):
            images = open_images(make_config({"pool": {"path": path, "cache": cache, "image_size": 32}}).pool)
            request = FeatureRequest(image_size=32, channels=images.channels, comm=Alone(), store=Folder(cache))
            network = FEATURES.find(name)(request)
            ids = np.arange(min(count, images.rows))
            kept |= dict(zip(names, (EmbeddedRows(images, network).take(ids), images.labels(ids)), strict=True))
    np.savez(out, **kept)


def keep_curves(path: Path, data: list[str], seeds: list[int], names: list[str]) -> None:
    """Run what is not kept yet, seed by seed, and append it."""
    done = {(run["data"], run["strategy"], run["seed"]) for run in read(path)}
    print(describe_machine(), flush=True)
    loaded = [Data(name, file or None) for name, _, file in (given.partition("=") for given in data)]
    for seed, pool, strategy in itertools.product(seeds, loaded, names):
        if (pool.name, strategy, seed) in done:
            continue
        begun = time.perf_counter()
        curve, seconds = pool.run(strategy, seed)
        run = {"data": pool.name, "strategy": strategy, "seed": seed, "curve": curve, "selection_s": seconds}
        with path.open("a") as file:
            file.write(json.dumps(run) + "\n")
        print(f"{pool.name} {strategy} {seed}: {time.perf_counter() - begun:.1f} s", flush=True)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def print_table(path: Path) -> None:
    """Print a row for each data set and strategy, random first."""
    runs: dict[tuple[str, str], dict[int, Curve]] = defaultdict(dict)
    for run in read(path):
        curve = {int(labels): accuracy for labels, accuracy in run["curve"].items()}
        runs[run["data"], run["strategy"]][run["seed"]] = curve
    seconds = defaultdict(list)
    for run in read(path):
        seconds[run["data"], run["strategy"]].append(run["selection_s"] / len(run["curve"]))
    last = MARKS[-1]
    marks = " | ".join(f"{mark} labels" for mark in MARKS)
    print(f"| data | strategy | {marks} | labels saved | less random at {last} | less badge | seeds | ms a round |")
    print("|" + " --- |" * (len(MARKS) + 7))
    for (data, name), curves in runs.items():
        random, badge = runs[data, "random"], runs[data, "badge"]
        cells = [mean_of([curve[mark] for curve in curves.values()]) for mark in MARKS]
        cells.append("1" if name == "random" else saving(curves, random))
        for other in (random, badge):
            apart = [curve[last] - other[seed][last] for seed, curve in curves.items() if seed in other]
            cells.append(mean_of(apart, "+") if other is not curves and len(apart) > 1 else "")
        cells += [str(len(curves)), f"{1000 * np.mean(seconds[data, name]):.0f}"]
        print(f"| {data} | `{name}` | {' | '.join(cells)} |")


def mean_of(values: list[float], sign: str = "") -> str:
    """Write the mean and the half-width of its 95% interval."""
    if len(values) < 2:
        return f"{np.mean(values):{sign}.3f}"
    half = student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):{sign}.3f} ± {half:.3f}"


def saving(curves: dict[int, Curve], random: dict[int, Curve]) -> str:
    """Write random's labels over the strategy's at equal mean accuracy, with the interval over both sides' seeds."""
    ours = np.array([[*curve.values()] for curve in curves.values()])
    theirs = np.array([curve[MARKS[-1]] for curve in random.values()])
    labels = np.array([*next(iter(curves.values()))])

    def ratio(mean: np.ndarray, goal: float) -> float:
        reached = np.flatnonzero(mean >= goal)
        if not len(reached):
            return 0.0
        at = int(reached[0])
        if not at:
            return float(MARKS[-1] / labels[0])
        share = (goal - mean[at - 1]) / (mean[at] - mean[at - 1])
        return float(MARKS[-1] / (labels[at - 1] + share * (labels[at] - labels[at - 1])))

    draw = np.random.default_rng(0)
    drawn = [
        ratio(ours[draw.integers(len(ours), size=len(ours))].mean(0), draw.choice(theirs, len(theirs)).mean())
        for _ in range(DRAWS)
    ]
    middle, (low, high) = ratio(ours.mean(0), theirs.mean()), np.quantile(drawn, [0.025, 0.975])
    return " ".join([at_least_one(middle), f"({at_least_one(low)} to {at_least_one(high)})"])


def at_least_one(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio else "< 1"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    features = parts.add_parser("features")
    for name in ("pool", "test", "out"):
        features.add_argument(name)
    features.add_argument("--network", default="efficientnet_lite0_scales")
    features.add_argument("--rows", type=int, default=8000)
    curves = parts.add_parser("curves")
    curves.add_argument("keep", type=Path)
    curves.add_argument("data", nargs="*", default=["digits"])
    curves.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    curves.add_argument("--strategies", nargs="+", default=STRATEGIES_COMPARED)
    parts.add_parser("table").add_argument("keep", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.part == "features":
        make_features(given.pool, given.test, given.out, given.network, given.rows)
    elif given.part == "curves":
        keep_curves(given.keep, given.data, given.seeds, given.strategies)
    else:
        print_table(given.keep)


if __name__ == "__main__":
    main()

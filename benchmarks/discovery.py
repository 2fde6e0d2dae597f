"""Count the labels that search saves on cached features: until a rare class is found, and at equal accuracy.

    python benchmarks/discovery.py FEATURES.npz rare | share S | curves

FEATURES.npz: A float32 [n, F] and y of the pool, At and yt of a test set. `rare`: each class but the largest is sought
alone from 3 reference images (no rows of the pool), labels until 50% and 80% of it, random over distal, in batches of
BATCH. `share S`: the same with the class cut down to the share S of the pool. `curves`: balanced accuracy on the test
set over labels of all classes, without references, and the labels that reach what `random` reaches with as many.
"""

import sys
import time

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score

from distal.features.probe import Probe
from distal.query import STRATEGIES, LocalShards, Selection, Selector, View, select
from distal.query.phases import choose_phase

SEEDS = 8
BATCH = 12
REFERENCES = 3
REST = 100  # unlabeled rows that stand for "none of the class" while no other class has a label
CURVES = ("random", "margin", "badge", "coreset", "search", "auto")
COLD = {"margin": "random", "badge": "coreset"}  # what runs before there is a label
BUDGET = 240
TARGETS = (0.5, 0.8)


class Pool:
    """Hold features, classes and what was asked; learn a probe and ask by a strategy."""

    def __init__(self, x: np.ndarray, y: np.ndarray, classes: int, seed: int, given: tuple[np.ndarray, np.ndarray]):
        self.x, self.y, self.classes, self.seed = torch.from_numpy(x), y, classes, seed
        self.given = torch.from_numpy(given[0]), given[1]
        self.asked: list[int] = []
        self.mean = self.x.mean(0)
        self.draw = np.random.default_rng(seed)

    def probe(self) -> Probe:
        x, y = torch.cat([self.given[0], self.x[self.asked]]), np.r_[self.given[1], self.y[self.asked]]
        if len(np.unique(y)) == 1:
            rest = self.draw.choice(np.setdiff1d(np.arange(len(self.y)), self.asked), REST, replace=False)
            x, y = torch.cat([x, self.x[rest]]), np.r_[y, np.full(REST, 1 - y[0])]
        return Probe.fit(x, y, self.classes, self.mean, self.seed)

    def ask(self, name: str, round: int, k: int = BATCH) -> tuple[Selection, torch.Tensor | None]:
        """Ask k rows; return them, and the probabilities by which they were chosen."""
        n = len(self.y)
        labels = np.full(n, -1)
        labels[self.asked] = self.y[self.asked]
        counts = np.bincount(np.r_[self.given[1], self.y[self.asked]].astype(np.int64), minlength=self.classes)
        if name == "auto":
            name = choose_phase(counts, len(self.asked), BUDGET).strategy
        elif not counts.any() and name in COLD:
            name = COLD[name]
        strategy = STRATEGIES.find(name)
        tensors = {"embeddings": self.x}
        if "probs" in strategy.tensors:
            tensors["probs"] = self.probe().probs(self.x)
        view = View(np.arange(n), labels < 0, labels, n, self.seed, round, tensors, counts)
        chosen = select(LocalShards([Selector(view, strategy)]), strategy, k, self.seed, round)
        self.asked += chosen.row_ids.tolist()
        return chosen, tensors.get("probs")


def search_one(x: np.ndarray, y: np.ndarray, rare: int, share: float | None, seed: int) -> list[float]:
    """Return labels until each target by random (its expectation) over labels by search."""
    pool = one_class(x, y, rare, share, seed)
    n, many = len(pool.y), int(pool.y.sum())
    goals = [int(np.ceil(target * many)) for target in TARGETS]
    found = np.zeros(0)
    while not len(found) or found[-1] < goals[-1]:
        pool.ask("search", len(found) // BATCH)
        found = pool.y[pool.asked].cumsum()
    # The g-th of p images among n rows in random order is at place g (n + 1) / (p + 1) on average.
    return [goal * (n + 1) / (many + 1) / (int(np.argmax(found >= goal)) + 1) for goal in goals]


def one_class(x: np.ndarray, y: np.ndarray, rare: int, share: float | None, seed: int) -> Pool:
    """Return a pool of two classes, the rare one and the rest, and REFERENCES images of the rare one beside it."""
    draw = np.random.default_rng(seed)
    of, rest = draw.permutation(np.flatnonzero(y == rare)), np.flatnonzero(y != rare)
    references, of = of[:REFERENCES], of[REFERENCES:]
    if share is not None:
        of = of[: round(share * len(rest) / (1 - share))]
    rows = draw.permutation(np.r_[of, rest])
    return Pool(x[rows], (y[rows] == rare).astype(np.int64), 2, seed, (x[references], np.ones(REFERENCES, np.int64)))


def learn(name: str, x: np.ndarray, y: np.ndarray, test: tuple[torch.Tensor, np.ndarray], seed: int) -> list[float]:
    """Return the balanced accuracy on the test set after each batch, from no label to BUDGET."""
    rows = np.random.default_rng(seed).permutation(len(y))
    none = np.zeros((0, x.shape[1]), np.float32), np.zeros(0, np.int64)
    pool, accuracies = Pool(x[rows], y[rows], int(y.max()) + 1, seed, none), []
    while len(pool.asked) < BUDGET:
        pool.ask(name, len(pool.asked) // BATCH)
        guesses = pool.probe().probs(test[0]).argmax(1).numpy()
        accuracies.append(balanced_accuracy_score(test[1], guesses))
    return accuracies


def interval(values: np.ndarray) -> str:
    """Write the mean and its 90% interval, by 2,000 bootstraps over seeds."""
    draws = np.random.default_rng(0).choice(values, (2000, len(values))).mean(1)
    return f"{values.mean():.2f} ({np.quantile(draws, 0.05):.2f} to {np.quantile(draws, 0.95):.2f})"


def report_rare(x: np.ndarray, y: np.ndarray, share: float | None) -> None:
    print("| class | 50%: random over search | 80% |\n| --- | --- | --- |")
    common = int(np.bincount(y).argmax()) if share is None else -1
    means = []
    for rare in range(int(y.max()) + 1):
        if rare != common:
            ratios = np.array([search_one(x, y, rare, share, seed) for seed in range(SEEDS)])
            print(f"| {rare} | {interval(ratios[:, 0])} | {interval(ratios[:, 1])} |", flush=True)
            means.append(ratios.mean(0))
    half, most = np.mean(means, axis=0)
    print(f"| mean (worst) | {half:.1f} ({np.min(means, 0)[0]:.1f}) | {most:.1f} ({np.min(means, 0)[1]:.1f}) |")


def report_curves(x: np.ndarray, y: np.ndarray, test: tuple[torch.Tensor, np.ndarray]) -> None:
    marks = (60, 120, 180, 240)
    print("| strategy | " + " | ".join(f"{mark} labels" for mark in marks) + " | labels saved at random's 120, 240 |")
    print("| --- |" + " --- |" * (len(marks) + 1))
    base = np.zeros(0)
    for name in CURVES:
        curves = np.array([learn(name, x, y, test, seed) for seed in range(SEEDS)])
        mean = curves.mean(0)
        base = mean if name == "random" else base
        saved = []
        for mark in (120, 240):
            enough = np.flatnonzero(mean >= base[mark // BATCH - 1])
            saved.append(f"{mark / ((enough[0] + 1) * BATCH):.1f} x" if len(enough) else "never")
        cells = " | ".join(interval(curves[:, mark // BATCH - 1]) for mark in marks)
        print(f"| {name} | {cells} | {', '.join(saved)} |", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    started = time.perf_counter()
    path, what, *rest = sys.argv[1:]
    with np.load(path) as held:
        x, y, xt, yt = held["A"].astype(np.float32), held["y"], held["At"].astype(np.float32), held["yt"]
    print(f"{path}: {len(y)} rows, {SEEDS} seeds, batches of {BATCH}, 90% intervals")
    if what == "curves":
        report_curves(x, y, (torch.from_numpy(xt[:2000]), yt[:2000]))
    else:
        report_rare(x, y, float(rest[0]) if what == "share" else None)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()

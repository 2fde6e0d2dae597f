"""Balanced accuracy of the probe by strategy, how well `auto` chooses between probe and head, calibration, seconds.

    python benchmarks/probe.py [FOLDER] [--data digits ...] [--seeds 5] [--labels 240]

Without FOLDER: scikit-learn's digits, features = pixels. FOLDER holds NAME.npz: A [n, F], y [n] features and labels of
the pool, At, yt of the test rows, X, Xt their pixels [n, P]. The head is a stand-in that learns from unlabeled rows as
well: labels spread over the graph of nearest neighbours in pixels (Zhou et al. 2004). It is better than the probe on
digits and mnist, worse than it on photographs. `margin` asks by what `auto` believes: the loop is closed.
`coreset` measures distances between the features as they are; between the probe's directions it is worse.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
from machine import describe_machine
from sklearn.datasets import load_digits

from distal.features.calibration import expected_calibration_error
from distal.features.committee import Committee
from distal.features.competition import Answered, judge
from distal.features.probe import Probe

STRATEGIES = ("random", "margin", "coreset")
BATCH = 20
BUDGETS = (20, 40, 60, 80, 120, 180, 240)
TEST = 2000
NEIGHBOURS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--data", nargs="+", default=["digits"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=240)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{describe_machine()}; one thread, {arguments.seeds} seeds, {BATCH} labels a round")
    budgets = [b for b in BUDGETS if b <= arguments.labels]
    print(f"\n| balanced accuracy: probe / head / auto | {' | '.join(map(str, budgets))} | who, at the end |")
    print("| --- |" + " --- |" * (len(budgets) + 1))
    pools = {name: Pool(name, arguments.folder) for name in arguments.data}
    worst, calibration = {}, {}
    for name, pool in pools.items():
        for strategy in STRATEGIES:
            runs = [pool.run(strategy, seed, arguments.labels) for seed in range(arguments.seeds)]
            cells = []
            for budget in budgets:
                rounds = [run[budget] for run in runs]
                probe, head, auto = (np.mean([r[who] for r in rounds]) for who in ("probe", "head", "auto"))
                best = np.mean([max(r["probe"], r["head"]) for r in rounds])
                worst[name, strategy, budget] = best - auto
                calibration[name, strategy, budget] = np.mean([(r["stated"], r["ece"]) for r in rounds], 0)
                cells.append(f"{probe:.3f} / {head:.3f} / {auto:.3f}")
            who = ", ".join(run[budgets[-1]]["who"] for run in runs)
            print(f"| {name} {strategy} | {' | '.join(cells)} | {who} |", flush=True)
    for title, table in (("the better of the two, less auto", worst), ("stated / true calibration error", calibration)):
        print(f"\n| {title} | {' | '.join(map(str, budgets))} |\n| --- |" + " --- |" * len(budgets))
        for name in pools:
            for strategy in STRATEGIES:
                values = [np.atleast_1d(table[name, strategy, budget]) for budget in budgets]
                print(f"| {name} {strategy} | {' | '.join(' / '.join(f'{v:.3f}' for v in row) for row in values)} |")
    for name, pool in pools.items():
        pool.time(name)


class Pool:
    """Own a data set: features and labels of the pool, then of the test rows; the graph of their pixels."""

    def __init__(self, name: str, folder: str | None) -> None:
        data = dict(np.load(Path(folder) / f"{name}.npz")) if folder and name != "digits" else digits()
        self.n = len(data["y"])
        self.features = torch.from_numpy(np.concatenate([data["A"], data["At"][:TEST]]))
        self.labels = np.concatenate([data["y"], data["yt"][:TEST]])
        self.classes = int(self.labels.max()) + 1
        self.mean = self.features[: self.n].mean(0)
        self.graph = graph(torch.from_numpy(np.concatenate([data["X"], data["Xt"][:TEST]])))

    def run(self, strategy: str, seed: int, labels: int) -> dict[int, dict]:
        """Ask until there are this many labels; return by budget what each classifier is worth."""
        draw = np.random.default_rng(seed)
        asked: list[int] = []
        probe = head = believed = torch.full((len(self.labels), self.classes), 1.0 / self.classes)
        rounds, reports, who = [], {}, "probe"
        while len(asked) < labels:
            query = self.choose(strategy, asked, believed[: self.n].numpy(), draw)
            rounds.append(Answered(probe[query], head[query], torch.from_numpy(self.labels[query])))
            asked += query
            verdict = judge(rounds, who)
            who = verdict.classifier
            fitted = Probe.fit(self.features[asked], self.labels[asked], self.classes, self.mean, seed)
            probe, head = fitted.probs(self.features), self.spread(asked)
            believed = verdict.probs(probe, head)
            truth = torch.from_numpy(self.labels[self.n :])
            reports[len(asked)] = {
                **{w: self.accuracy(p) for w, p in (("probe", probe), ("head", head), ("auto", believed))},
                "who": who,
                "stated": fitted.calibration_error if fitted.calibration_error is not None else np.nan,
                "ece": expected_calibration_error(probe[self.n :], truth),
            }
        return reports

    def choose(self, strategy: str, asked: list[int], believed: np.ndarray, draw: np.random.Generator) -> list[int]:
        left = np.setdiff1d(np.arange(self.n), asked)
        if strategy == "random" or (strategy == "margin" and not asked):
            return [int(i) for i in draw.choice(left, BATCH, replace=False)]
        if strategy == "margin":
            top = np.sort(believed[left], 1)
            return [int(i) for i in left[np.argsort(top[:, -1] - top[:, -2], kind="stable")[:BATCH]]]
        chosen = [] if asked else [int(draw.integers(self.n))]
        pool = self.features[: self.n]
        near = torch.cdist(pool, pool[asked + chosen]).amin(1)
        while len(chosen) < BATCH:
            chosen.append(int(near.argmax()))
            near = torch.minimum(near, (pool - pool[chosen[-1]]).norm(dim=1))
        return chosen

    def spread(self, asked: list[int]) -> torch.Tensor:
        start = np.zeros((len(self.labels), self.classes))
        start[asked, self.labels[asked]] = 1.0
        f = start
        for _ in range(60):
            f = 0.98 * (self.graph @ f) + 0.02 * start
        f = f + 1e-7
        return torch.from_numpy(f / f.sum(1, keepdims=True)).float()

    def accuracy(self, probs: torch.Tensor) -> float:
        guess, truth = probs[self.n :].argmax(1).numpy(), self.labels[self.n :]
        return float(np.mean([(guess[truth == c] == c).mean() for c in np.unique(truth)]))

    def time(self, name: str) -> None:
        """Print the seconds of a fit, a committee and a pass."""
        for m in (240, 2000):
            rows = np.random.default_rng(0).permutation(self.n)[:m]
            x, y = self.features[rows], self.labels[rows]
            start = time.perf_counter()
            probe = Probe.fit(x, y, self.classes, self.mean, 0)
            fitted = time.perf_counter()
            committee = Committee.fit(probe, x, y, 10, 0)
            both = time.perf_counter()
            probe.probs(self.features)
            passed = time.perf_counter()
            size = len(probe.to_bytes()), len(committee.to_bytes())
            print(
                f"\n{name}, {len(y)} labels x {x.shape[1]}: fit {fitted - start:.2f} s, "
                f"committee of 10 {both - fitted:.2f} s; {len(self.labels)} rows scored in "
                f"{passed - both:.3f} s; {size[0]} and {size[1]} bytes"
            )


def graph(x: torch.Tensor) -> scipy.sparse.csr_matrix:
    """Return the normalised graph of nearest neighbours, weights exp(-d^2 / median)."""
    near, far = [], []
    squares = x.square().sum(1)
    for begin in range(0, len(x), 1000):
        part = x[begin : begin + 1000]
        d = squares[begin : begin + 1000, None] + squares - 2.0 * part @ x.T
        d[torch.arange(len(part)), torch.arange(begin, begin + len(part))] = torch.inf
        value, index = d.clamp_min(0.0).topk(NEIGHBOURS, largest=False)
        near.append(index.numpy().ravel())
        far.append(value.numpy().ravel())
    to, d = np.concatenate(near), np.concatenate(far)
    edges = (np.exp(-d / np.median(d)), (np.repeat(np.arange(len(x)), NEIGHBOURS), to))
    w = scipy.sparse.csr_matrix(edges, (len(x), len(x)))
    w = w.maximum(w.T)
    scale = scipy.sparse.diags(np.asarray(w.sum(1)).ravel() ** -0.5)
    return (scale @ w @ scale).tocsr()


def digits() -> dict[str, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(5).permutation(len(y))
    x, y = (x[order] / 16.0).astype(np.float32), y[order].astype(np.int64)
    return {"A": x[:1297], "y": y[:1297], "At": x[1297:], "yt": y[1297:], "X": x[:1297], "Xt": x[1297:]}


if __name__ == "__main__":
    main()

"""Compare query strategies by learning curves of a logistic regression on cached features.

usage: python benchmarks/strategies.py FEATURES.npz STRATEGY...

FEATURES.npz has train rows A float32 [n, F] and y int64 [n], test rows At and yt. Each run begins with the same BATCH
random rows of its seed, and asks BATCH a round up to the last of BUDGETS. Prints the mean balanced accuracy over SEEDS
seeds, its standard error, and the mean share of the classes' rows that were found for the rarest class.
"""

import statistics
import sys
import time

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from distal.query import STRATEGIES, LocalShards, Selector, View, select
from distal.streams import stream

BATCH = 12
BUDGETS = (60, 120, 240)
SEEDS = 5
COMPONENTS = 128  # of the features, so that a fit takes milliseconds
MEMBERS = 10  # of the committee: Bayesian bootstraps
DRAWS, RATE = 3, 0.75  # of dropout
C = 1.0

Array = npt.NDArray[np.float64]


class Probe:
    """Fit a class-balanced logistic regression; give probabilities of all classes, those without a label at zero."""

    def __init__(self, x: Array, y: npt.NDArray[np.int64], classes: int, weights: Array | None = None) -> None:
        self.classes = classes
        self.fitted = LogisticRegression(C=C, class_weight="balanced", max_iter=200, tol=1e-3)
        self.fitted.fit(x, y, sample_weight=weights)

    def __call__(self, x: Array) -> npt.NDArray[np.float32]:
        """Return class probabilities float32 [n, K]."""
        out = np.zeros((len(x), self.classes), dtype=np.float32)
        out[:, self.fitted.classes_] = self.fitted.predict_proba(x)
        return out


class Data:
    """Hold standardized features and their leading components, scaled to a mean square of 1."""

    def __init__(self, path: str) -> None:
        given = np.load(path)
        mean, scale = given["A"].mean(0), given["A"].std(0) + 1e-6
        self.features = ((given["A"] - mean) / scale).astype(np.float32)
        tested = ((given["At"] - mean) / scale).astype(np.float32)
        self.basis = np.linalg.eigh(self.features.T @ self.features)[1][:, ::-1][:, :COMPONENTS]
        self.unit = np.sqrt(((self.features @ self.basis) ** 2).mean())
        self.x, self.tested = self.project(self.features), self.project(tested)
        self.y, self.truth = given["y"], given["yt"]
        self.classes = int(self.y.max()) + 1

    def project(self, features: npt.NDArray[np.float32]) -> Array:
        """Return the leading components."""
        return np.asarray(features @ self.basis / self.unit, dtype=np.float64)


def told(data: Data, probe: Probe, asked: list[int], needs: frozenset[str], seed: int) -> dict[str, torch.Tensor]:
    """Compute what a strategy needs."""
    out = {"probs": probe(data.x)} if "probs" in needs else {}
    if "embeddings" in needs:
        out["embeddings"] = data.features
    draw = stream(seed, "members", len(asked))
    if "committee" in needs:
        weights = draw.exponential(size=(MEMBERS, len(asked)))
        members = [Probe(data.x[asked], data.y[asked], data.classes, w)(data.x) for w in weights]
        out["committee"] = np.stack(members, 1)
    if "dropout_probs" in needs:
        kept = [
            (draw.random(data.features.shape, dtype=np.float32) >= RATE) / np.float32(1 - RATE) for _ in range(DRAWS)
        ]
        out["dropout_probs"] = np.stack([probe(data.project(data.features * mask)) for mask in kept], 1)
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in out.items()}


def run(data: Data, name: str, seed: int) -> tuple[list[float], list[float], float]:
    """Return balanced accuracy and the share found of the rarest class at the budgets, and seconds of selection."""
    strategy = STRATEGIES.find(name)
    asked = stream(seed, "first").permutation(len(data.y))[:BATCH].tolist()
    accuracy, found, seconds = [], [], 0.0
    rarest = int(np.bincount(data.y).argmin())
    while True:
        probe = Probe(data.x[asked], data.y[asked], data.classes)
        if len(asked) in BUDGETS:
            accuracy.append(float(balanced_accuracy_score(data.truth, probe.fitted.predict(data.tested))))
            found.append(float((data.y[asked] == rarest).sum() / (data.y == rarest).sum()))
        if len(asked) >= BUDGETS[-1]:
            return accuracy, found, seconds
        labels = np.full(len(data.y), -1)
        labels[asked] = data.y[asked]
        counts = np.bincount(data.y[asked], minlength=data.classes)
        tensors = told(data, probe, asked, strategy.tensors, seed)
        round = len(asked) // BATCH + 1
        view = View(np.arange(len(data.y)), labels < 0, labels, 16, seed, round, tensors, counts)
        begun = time.perf_counter()
        asked += select(LocalShards([Selector(view, strategy)]), strategy, BATCH, seed, round).row_ids.tolist()
        seconds += time.perf_counter() - begun


def main() -> None:
    """Print a row of the table for each strategy."""
    torch.set_num_threads(1)
    data = Data(sys.argv[1])
    print(f"| strategy | {' | '.join(f'{budget} labels' for budget in BUDGETS)} | rarest class found | ms a round |")
    print(f"|{' --- |' * (len(BUDGETS) + 3)}", flush=True)
    for name in sys.argv[2:]:
        runs = [run(data, name, seed) for seed in range(SEEDS)]
        cells = []
        for at in range(len(BUDGETS)):
            values = [accuracy[at] for accuracy, _, _ in runs]
            cells.append(f"{statistics.mean(values):.3f} +- {statistics.stdev(values) / SEEDS**0.5:.3f}")
        share = statistics.mean(found[-1] for _, found, _ in runs)
        spent = statistics.mean(seconds for _, _, seconds in runs) / (BUDGETS[-1] // BATCH - 1)
        print(f"| `{name}` | {' | '.join(cells)} | {share:.2f} | {1000 * spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()

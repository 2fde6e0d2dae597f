"""Distance and accuracy against labels spent, for several strategies and seeds on one data set.

    python benchmarks/learning_curves.py run  NAME OUT [key=value ...] --strategies random margin badge --seeds 0 1 2
    python benchmarks/learning_curves.py show NAME OUT [--picture docs/images/NAME.png]

NAME is digits, mnist or magnetic_tile, the latter two read from ../shared/data (or DATA=folder). `run` makes the runs
that OUT does not hold yet, one after another, and `show` prints a table with the mean and the range over the seeds.
"""

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from machine import describe_machine

from distal import ActiveLearner
from distal.resolve import override_config, read_config
from distal.run.directory import RunDirectory
from distal.run.results import RoundResult, read_result

DATA = Path(os.environ.get("DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PRESETS: dict[str, list[str]] = {
    "digits": [],
    "mnist": [
        f"pool.path={DATA}/mnist/train.parquet",
        f"evaluate.path={DATA}/mnist/test.parquet",
        "pool.image_size=32",
        "pool.fit=pad",
        "query.batch=20",
    ],
    "magnetic_tile": [
        f"pool.path={DATA}/magnetic_tile/train.parquet",
        f"evaluate.path={DATA}/magnetic_tile/test.parquet",
        "pool.image_size=32",
        "query.batch=24",
        "train.augment=[flip, translation]",
    ],
}
SHOWN = ("fd_pool-cnn", "fd_pool-cnn_class_worst", "accuracy", "accuracy_balanced", "agreement")
LABELS = {"fd_pool-cnn": "distance (pool-cnn)", "accuracy": "head's accuracy", "accuracy_balanced": "balanced accuracy"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["run", "show"])
    parser.add_argument("name", choices=PRESETS)
    parser.add_argument("out")
    parser.add_argument("--strategies", nargs="+", default=["random", "margin", "badge"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--picture")
    arguments, overrides = parser.parse_known_args()
    if arguments.action == "run":
        for seed in arguments.seeds:
            for strategy in arguments.strategies:
                run_one(arguments.name, arguments.out, strategy, seed, overrides)
    show(arguments.name, arguments.out, arguments.picture)


def run_one(name: str, out: str, strategy: str, seed: int, overrides: list[str]) -> None:
    own = [f"name={name}-{strategy}-{seed}", f"storage={out}", f"seed={seed}", f"query.strategy={strategy}"]
    config = override_config(read_config(None, PRESETS[name]), [*own, *overrides])
    started = time.perf_counter()
    outcome = ActiveLearner(config).run()
    print(f"{config.name}: {outcome.message}; {time.perf_counter() - started:.0f} s", flush=True)


def show(name: str, out: str, picture: str | None) -> None:
    curves: dict[str, list[list[RoundResult]]] = defaultdict(list)
    for folder in sorted(Path(out).glob(f"{name}-*")):
        run = RunDirectory.open(out, folder.name)
        strategy = folder.name.removeprefix(f"{name}-").rsplit("-", 1)[0]
        curves[strategy].append([read_result(run, number) for number in run.committed()])
    print(describe_machine())
    for strategy, runs in curves.items():
        minutes = [sum(sum(r.metrics["seconds"].values()) for r in results) / 60 for results in runs]
        print(f"\n{name}, {strategy}: {len(runs)} seeds, {np.mean(minutes):.1f} min a run")
        print("| labels | " + " | ".join(SHOWN) + " |\n| --- |" + " --- |" * len(SHOWN))
        for number in range(min(len(results) for results in runs)):
            at = [results[number] for results in runs]
            cells = [cell([r.score(score) for r in at]) for score in SHOWN]
            print(f"| {at[0].metrics['labels']} | " + " | ".join(cells) + " |")
    if picture:
        draw(curves, picture)


def cell(values: list[float | None]) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return "-"
    mean = f"{np.mean(known):.3g}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.3g} to {max(known):.3g})"


def draw(curves: dict[str, list[list[RoundResult]]], picture: str) -> None:
    figure, axes = plt.subplots(1, len(LABELS), figsize=(11, 3.2), layout="constrained")
    for axis, (score, title) in zip(axes, LABELS.items(), strict=True):
        for color, (strategy, runs) in zip(("#4477aa", "#ee6677", "#228833", "#ccbb44"), curves.items(), strict=False):
            labels = [r.metrics["labels"] for r in runs[0]]
            values: Any = np.array([[r.score(score) for r in results] for results in runs], dtype=float)
            axis.plot(labels, values.mean(0), color=color, label=strategy, marker="o", markersize=3)
            if len(runs) > 1:
                axis.fill_between(labels, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)
        axis.set(xlabel="labels spent", title=title, yscale="log" if score.startswith("fd") else "linear")
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main()

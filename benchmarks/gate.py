"""Ask whether generated images pay on a pool with rare classes: run distal to 200 labels, prove it, print the table.

    python benchmarks/gate.py magnetic_tile DATA/magnetic_tile OUT [--seeds 5] [--price 40] [KEY=VALUE ...]
    python benchmarks/gate.py cifar10 DATA/cifar10 OUT ...
    python benchmarks/gate.py RUN [--seeds 5] [--price 40]

DATA/NAME holds train.parquet, the pool, and test.parquet, the held-out images. The pool of cifar10 is made long-tailed
first: 20,000 rows, 1% cats, 1% trucks (long_tail.py). distal chooses the labels by itself, from the pool's hidden ones;
every further KEY=VALUE is as for `distal run`. Killed and started again it goes on where it stood. The third form
proves a run that is there. The rows of the table: (a) the labels alone, (b) with classical augmentation, (c) with
generated images, (d) with confident pseudo-labels, (e) as many further labels as the price; by both classifiers.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from long_tail import write_long_tail
from machine import describe_machine

from distal import ActiveLearner
from distal.driver.proving import prove_run
from distal.progress import Event
from distal.resolve import read_config
from distal.run.directory import RunDirectory

RARE = ["cat", "truck"]
SHARED = ["query.batch=20", "rounds=10", "query.strategy=auto", "classifier=probe", "net.name=projected"]
SHARED += ["train.batch_size=24", "train.labeled_fraction=0.5", "model.learning_rate_g=1e-3", "evaluate.samples=500"]
SHARED += ["model.learning_rate_d=2e-4", "train.augment=[flip, translation]", "train.steps=80"]
OWN = {
    "magnetic_tile": ["pool.image_size=64", "pool.channels=1"],
    "cifar10": ["pool.image_size=32", "pool.channels=3", "evaluate.reference=2000"],
}
ROWS = {
    "labels": "(a) labels",
    "augmented": "(b) + augmentation",
    "images": "(c) + generated images",
    "pseudo": "(d) + pseudo-labels",
}


def grown(kind: str, data: Path, out: Path, name: str, overrides: list[str]) -> RunDirectory:
    """Run distal to its end, or go on with it."""
    out.mkdir(parents=True, exist_ok=True)
    pool = data / "train.parquet"
    if kind == "cifar10":
        pool = out / "cifar10-long-tailed.parquet"
        if not pool.exists():
            print(write_long_tail(data / "train.parquet", pool, RARE, share=0.01, rows=20_000), flush=True)
    places = [f"name={name}", f"storage={out}", f"pool.path={pool}", f"evaluate.path={data / 'test.parquet'}"]
    learner = ActiveLearner(read_config(None, [*places, *SHARED, *OWN[kind], *overrides]), listen=told)
    for result in learner.rounds():
        print(f"round {result.round}: {result.metrics['labels']} labels, distance {result.distance}", flush=True)
    return learner.run_directory


def told(event: Event) -> None:
    """Say what is at work, a line a phase."""
    if not event.done:
        print(f"  {event.phase}", file=sys.stderr, flush=True)


def table(proof: dict[str, Any]) -> str:
    """Return the gate's table in Markdown: of each classifier and set, the deciding classes' scores in points."""
    lines = [
        "| classifier | learned from | recall (95%) | precision | F1 | AUPRC |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each in (proof, *proof["others"]):
        group = next((g for g in each["groups"] if g["kind"] == "rare"), each["groups"][0])
        for on, title in ROWS.items():
            scores = group["sets"][on]
            others = " | ".join(f"{100 * scores[name][0]:.1f}" for name in ("precision", "f1", "auprc"))
            lines.append(f"| {each['classifier']} | {title} | {between(scores['recall'])} | {others} |")
        more = [value + group["sets"]["labels"]["recall"][0] for value in group["further_labels"]]
        lines.append(f"| {each['classifier']} | (e) + {proof['price']} labels, estimated | {between(more)} | | | |")
        gained = between(group["gain"]["recall"])
        lines.append(f"| {each['classifier']} | **(c) over the better of (a), (b)** | {gained} | | | |")
    return "\n".join(lines)


def between(of: list[float]) -> str:
    return f"{100 * of[0]:.1f} ({100 * of[1]:.1f} to {100 * of[2]:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", help="magnetic_tile, cifar10, or the folder of a run")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--price", type=int, help="labels that the images' making would buy; default: one more query")
    parser.add_argument("--per-class", type=int)
    parser.add_argument("--name", help="of the run; default: the data's")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    a = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    print(describe_machine(), flush=True)
    if a.what in OWN:
        if a.data is None or a.out is None:
            parser.error(f"{a.what} needs DATA and OUT")
        run = grown(a.what, a.data, a.out, a.name or a.what, a.overrides)
    else:
        place = Path(a.what).absolute()
        run = RunDirectory.open(str(place.parent), place.name)

    def step(text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    print(prove_run(run, [], None, a.per_class, a.price, a.seeds, None, step))
    print("\n" + table(json.loads(run.read("prove.json"))))


if __name__ == "__main__":
    main()

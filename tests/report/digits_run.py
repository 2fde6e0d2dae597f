"""Make a run directory as a driver leaves it, from scikit-learn's real digits, without training anything.

The "generated" samples are real digits that emerge from noise round by round; scores follow made-up smooth curves.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from sklearn.datasets import load_digits

from distal.config import Config
from distal.report.grid import sample_grid
from distal.run.directory import RunDirectory, round_path
from distal.run.ledger import Answer, Ledger, Query

DIGITS = tuple(str(d) for d in range(10))
HASH = "9f2c" + "0123456789abcdef" * 3 + "77aa"
START = 1_790_000_000.0


DATA = load_digits()  # once: reading the numbers takes longer than all that a test does with them


class DigitsTable:
    """Give the pixels of rows as an ImageTable does; row ids wrap around the 1,797 digits."""

    images = (DATA.images * 255 / 16).round().astype(np.uint8)[:, None]
    targets = DATA.target

    def pixels(self, row_ids: Any) -> Any:
        return self.images[np.asarray(row_ids) % len(self.images)]


def make_run(
    storage: Path,
    rounds: int = 5,
    batch: int = 10,
    classes: Sequence[str] = DIGITS,
    unfinished: int = 0,
    skipped: int = 0,
    stopped: bool = True,
    name: str = "digits",
    table: DigitsTable | None = None,
) -> RunDirectory:
    """Write a run of `rounds` committed rounds, then one in progress with `unfinished` answers if that is over 0."""
    table = table or DigitsTable()
    run = RunDirectory.open(str(storage), name)
    config = Config(
        name=name,
        storage=str(storage),
        rounds=max(1, rounds + (unfinished > 0)),
        query={"batch": batch},
        stop={"fid": 10.0},
    )
    resolved = {
        "distal": "0.1.0",
        "fingerprint": HASH,
        "reference_fingerprint": HASH,
        "rows": len(table.images),
        "image_size": 8,
        "channels": 1,
        "classes": list(classes),
    }
    content = {**config.model_dump(mode="json"), "resolved": resolved}
    run.write("config.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True).encode())
    environment = {"host": "bench-3", "cores": 2, "python": "3.11.4", "packages": {"ray": "2.60.0", "torch": "2.13.0"}}
    run.write("environment.json", json.dumps(environment).encode())
    if skipped:
        rows = [
            {"row_id": 31 * i, "path": f"scans/{i:05d}.png", "reason": "truncated PNG: 312 of 1,024 bytes"}
            for i in range(skipped)
        ]
        run.write("skipped.json", json.dumps(rows).encode())
    if stopped:
        run.write(
            "stopped.json", json.dumps({"reason": "labels", "message": f"label budget {rounds * batch}"}).encode()
        )
    ledger, rng = Ledger(run), np.random.default_rng(3)
    order = rng.permutation(max(len(table.images), (rounds + 1) * batch)).astype(np.int64)
    for round in range(1, rounds + 1):
        _ask(ledger, table, round, order[(round - 1) * batch : round * batch], batch, len(classes), rng)
        write_metrics(run, ledger, round, rounds, classes)
        run.write(round_path(round, "samples.png"), _samples(table, classes, round / rounds, rng))
        run.commit(round)
    if unfinished:
        _ask(ledger, table, rounds + 1, order[rounds * batch : (rounds + 1) * batch], unfinished, len(classes), rng)
    return run


def _ask(ledger: Ledger, table: DigitsTable, round: int, rows: Any, answers: int, classes: int, rng: Any) -> None:
    scores = np.sort(rng.beta(2, 5, len(rows)).astype(np.float32))[::-1]
    ledger.write_query(Query(round, rows, scores, "random" if round == 1 else "margin"))
    given = [
        Answer(
            row_id=int(row),
            label=None if round == 2 and i == 6 else int(table.targets[row % len(table.targets)]) % classes,
            annotator="dataset",
            time=START + 60.0 * round + i,
        )
        for i, row in enumerate(rows[:answers])
    ]
    ledger.record(round, given)


def write_metrics(run: RunDirectory, ledger: Ledger, round: int, rounds: int, classes: Sequence[str]) -> None:
    """Write metrics.json as `distal.rounds` does."""
    progress = 1.0 if rounds == 1 else (round - 1) / (rounds - 1)
    distance = 611.0 * (9.3 / 611.0) ** progress
    spread = 1.0 + 0.6 * np.sin(np.arange(len(classes)) * 1.7)
    worst = {name: float(distance * s * 1.3) for name, s in zip(classes, spread, strict=True)}
    agreement = 0.41 + 0.55 * progress**0.7
    note = "2,000 samples for 64 features: the distance is biased upwards by about 0.4"

    def score(name: str, value: float, class_name: str | None = None, note: str | None = None) -> dict[str, Any]:
        of_class = 200 if class_name else 2000
        return {
            "name": name,
            "value": value,
            "extractor": "pool-cnn",
            "hash": HASH,
            "samples": of_class,
            "reference_samples": of_class // 6,
            "class": class_name,
            "note": note,
        }

    scores = [
        score("fd_pool-cnn", distance, note=note),
        score("kd_pool-cnn", distance / 1900),
        score("fd_pool-cnn_class_mean", float(np.mean(list(worst.values())))),
        score("fd_pool-cnn_class_worst", max(worst.values())),
        score("accuracy", 0.62 + 0.33 * progress**0.6),
        score("accuracy_balanced", 0.61 + 0.33 * progress**0.6),
        score("agreement", agreement),
        *(score("fd_pool-cnn_class", value, name) for name, value in worst.items()),
        *(
            score("agreement_class", min(1.0, agreement * (1.4 - 0.4 * s)), n)
            for n, s in zip(classes, spread, strict=True)
        ),
    ]
    metrics = {
        "round": round,
        "labels": len(ledger.labels().row_ids),
        "asked": len(ledger.asked()),
        "cost": ledger.cost(),
        "steps": 500 * round,
        "goal": "fd_pool-cnn",
        "scores": scores,
        "losses": {"generator": 0.81 - 0.02 * round, "discriminator": 0.6 + 0.01 * round, "r1": 0.013, "r2": 0.011},
        "seconds": {"acquire": 0.61, "annotate": 0.04, "train": 13.2 + 0.3 * round, "evaluate": 2.4},
    }
    run.write(round_path(round, "metrics.json"), json.dumps(metrics).encode())


def _samples(table: DigitsTable, classes: Sequence[str], clarity: float, rng: Any) -> bytes:
    rows = [rng.choice(np.flatnonzero(table.targets == d % 10), 10) for d in range(len(classes))]
    real = table.images[np.concatenate(rows)].astype(np.float64)
    noise = rng.integers(0, 256, real.shape)
    mixed = (clarity**0.4 * real + (1 - clarity**0.4) * noise).astype(np.uint8)
    return sample_grid(mixed, columns=10, row_names=list(classes))

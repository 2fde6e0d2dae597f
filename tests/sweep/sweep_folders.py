"""Write the folder of a sweep as its trials leave it, without training anything."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resolved_facts import RESOLVED

from distal.config import Config
from distal.resolve import make_config, print_config, with_values
from distal.run.directory import RunDirectory, round_path
from distal.sweep.resolve import SWEEP, check_sweep, make_sweep, print_sweep
from distal.sweep.trials import ENDED, TRIAL, TRIALS, trial_name, write_note

SPACE = {"query.strategy": ["margin", "badge"], "model.learning_rate_g": {"loguniform": [1e-4, 1e-3]}}


class SweepFolder:
    """Hold a sweep's directory and add trials to it."""

    def __init__(self, storage: Path, name: str = "sweep", **settings: Any) -> None:
        tree = {"space": SPACE, "base": {"rounds": 4}, "storage": str(storage), "name": name, **settings}
        self.sweep = make_sweep(tree)
        self.base, _, _ = check_sweep(self.sweep)
        self.directory = RunDirectory.open(str(storage), name)
        self.directory.write(SWEEP, print_sweep(self.sweep, self.base).encode())
        self.count = 0

    def add(
        self,
        point: dict[str, Any],
        distances: Sequence[float | None],
        state: str | None = "finished",
        seed: int = 0,
        had: dict[str, Any] | None = None,
        name: str | None = None,
    ) -> RunDirectory:
        """Add a trial with one committed round for each distance. had: what its config.yaml says instead."""
        run = self.directory.inside(TRIALS, name or trial_name(point, seed))
        write_note(run, TRIAL, {"point": point, "seed": seed, "number": self.count, "begun": float(self.count)})
        self.count += 1
        config = make_config(with_values(self.base, {**(had or point), "name": run.name, "seed": seed}))
        run.write("config.yaml", print_config(config, RESOLVED).encode())
        for number, distance in enumerate(distances, start=1):
            write_round(run, config, number, distance)
        if state is not None:
            write_note(run, ENDED, {"state": state, "reason": f"it {state}"})
        return run


def write_round(run: RunDirectory, config: Config, number: int, distance: float | None) -> None:
    """Commit a round with this distance, an agreement of a half, and two seconds of compute."""
    names = {"fd_pool-cnn": distance, "accuracy": 0.75, "agreement": 0.5}
    scores = [{"name": name, "value": value, "class": None} for name, value in names.items()]
    labels = number * config.query.batch
    metrics = {
        "round": number,
        "labels": labels,
        "asked": labels,
        "goal": "fd_pool-cnn",
        "scores": scores,
        "seconds": {"train": 1.5, "evaluate": 0.5},
    }
    run.write(round_path(number, "metrics.json"), json.dumps(metrics).encode())
    run.write(round_path(number, "checkpoint", "manifest.json"), f"weights of round {number}".encode())
    run.commit(number)

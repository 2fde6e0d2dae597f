"""A sweep whose trials take a second or two, and what its folder says."""

from pathlib import Path
from typing import Any

import yaml
from shared_extractor import share_extractor

from distal.run.directory import RunDirectory
from distal.sweep.results import Results
from distal.sweep.trials import TRIALS

ROUNDS = 3


def sweep_tree(
    storage: Path, decoded: Path, space: dict[str, Any], shared: bool = True, **settings: Any
) -> dict[str, Any]:
    """Describe a sweep over the digits with three short rounds a trial.

    shared: whether it takes the extractor that this test process has trained; not on a file system of its own.
    """
    base: dict[str, Any] = {
        "rounds": ROUNDS,
        "pool": {"cache": str(decoded)},
        "query": {"strategy": "margin", "batch": 6},
        "train": {"steps": 20, "batch_size": 16},
        "evaluate": {"samples": 64, "reference": 200},
    }
    own = {"name": "sweep", "storage": str(storage), "loggers": [], **settings}
    if shared and not storage.is_mount():
        share_extractor(storage / own["name"] / TRIALS)
    own["base"] = _merged(base, own.get("base", {}))
    return {**own, "space": space}


def write_sweep(folder: Path, tree: dict[str, Any]) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def results_of(storage: Path, name: str = "sweep") -> Results:
    return Results.read(RunDirectory.open(str(storage), name))


def committed(storage: Path, name: str = "sweep") -> dict[str, float]:
    """Return when each committed round of each trial was committed, by its path."""
    trials = storage / name / "trials"
    return {str(p.relative_to(trials)): p.stat().st_mtime for p in trials.glob("*/rounds/*/COMMITTED")}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = dict(one)
    for key, value in other.items():
        both[key] = _merged(one[key], value) if isinstance(value, dict) and isinstance(one.get(key), dict) else value
    return both

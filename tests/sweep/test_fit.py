"""Tune's own controller with trials that answer from their files: who is paused, gone on with, and given up."""

import tempfile
from pathlib import Path

import pytest
from sweep_folders import SweepFolder

from distal.config import EVALUATION_CACHE
from distal.sweep.resolve import check_sweep
from distal.sweep.trials import TRIALS
from distal.sweep.tuner import run_sweep
from distal.sweep.watch import Progress

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("local_ray")]

SPACE = {"model.learning_rate_g": {"loguniform": [1e-6, 1e-3]}}


def test_what_hyperband_selects_comes_to_its_end(tmp_path: Path, decoded: Path) -> None:
    stop = {"scheduler": "hyperband", "grace": 1, "reduction": 2}
    base = {"rounds": 4, "pool": {"cache": str(decoded)}, "evaluate": {"samples": 64, "reference": 200}}
    folder = SweepFolder(tmp_path, space=SPACE, trials=6, early_stop=stop, base=base)
    for distance, point in enumerate(check_sweep(folder.sweep)[2], start=1):
        folder.add(point, [float(distance)] * 4)
    shared = Path(tempfile.gettempdir()) / EVALUATION_CACHE  # as the system tests of this process do
    shared.mkdir(exist_ok=True)
    (tmp_path / "sweep" / TRIALS / EVALUATION_CACHE).symlink_to(shared)
    heard: list[Progress] = []
    results = run_sweep(folder.sweep, resume=True, watch=heard.append)
    last = {progress.trial: progress.round for progress in heard if progress.state != "running"}
    assert len(last) == 6
    assert min(last.values()) < 4, "nobody was given up"
    assert last[results.best.trials[0].name] == 4

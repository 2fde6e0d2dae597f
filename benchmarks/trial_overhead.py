"""What a trial costs beyond the run that it is: a sweep beside the same runs made one after another without Tune.

    python benchmarks/trial_overhead.py [--trials 6] [--workers 0]

Both on one Ray that is up, one trial at a time, with the pool decoded and the extractor trained. The figure is the
difference of the walls, per trial: it holds Tune's own work, the start of the trial's process, and the sweep's report.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from local_ray import start_ray
from machine import describe_machine

from distal import ActiveLearner
from distal.resolve import make_config, with_values
from distal.sweep.resolve import make_sweep
from distal.sweep.tuner import run_sweep

RATES = [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4, 7e-4, 8e-4]
BARS = {0: 3.0, 1: 20.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--workers", type=int, default=0, choices=[0, 1])
    arguments = parser.parse_args()
    print(describe_machine())
    start_ray()
    folder = Path(tempfile.mkdtemp(prefix="distal-benchmark-"))
    try:
        compare(folder, arguments.trials, arguments.workers)
    finally:
        shutil.rmtree(folder)


def compare(folder: Path, trials: int, workers: int) -> None:
    base: dict[str, Any] = {"rounds": 3, "train": {"steps": 100}, "evaluate": {"samples": 500}}
    shards = 2 if workers else 0
    needs = {"cpus": 0.5, "shards": shards, "cpus_per_shard": 0.25, "workers": workers, "cpus_per_worker": 1.0}
    settings = {"storage": str(folder), "base": base, "searcher": "grid", "early_stop": {"scheduler": "none"}}
    space = {"model.learning_rate_g": RATES[:trials]}
    tree = {**settings, "space": space, "concurrency": 1, "resources": needs}
    run_sweep(make_sweep({**tree, "name": "warm", "space": {"model.learning_rate_g": RATES[:1]}}))
    shutil.move(folder / "warm" / "trials" / "evaluation-cache", folder / "evaluation-cache")

    started = time.perf_counter()
    for number, rate in enumerate(RATES[:trials]):
        own = {"name": f"alone-{number}", "storage": str(folder), "model.learning_rate_g": rate, "train.threads": 1}
        placed = {"pool.shards": shards, "train.workers": workers}
        if workers:
            placed |= {"pool.cpus_per_shard": 0.25, "train.cpus_per_worker": 1.0}
        ActiveLearner(make_config(with_values(make_config(base), {**own, **placed}))).run()
    alone = time.perf_counter() - started

    cache = folder / "swept" / "trials" / "evaluation-cache"
    cache.parent.mkdir(parents=True)
    shutil.copytree(folder / "evaluation-cache", cache)
    started = time.perf_counter()
    run_sweep(make_sweep({**tree, "name": "swept"}))
    swept = time.perf_counter() - started
    overhead, bar = (swept - alone) / trials, BARS[workers]
    print(f"{trials} runs alone {alone:.1f} s, as trials {swept:.1f} s, {workers} workers")
    print(f"{overhead:.2f} s a trial beyond its run; the bar is {bar:g} s: {'met' if overhead < bar else 'MISSED'}")


if __name__ == "__main__":
    main()

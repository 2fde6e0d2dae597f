"""What early stopping saves and what it costs: a sweep with and without it, the same trials, several seeds.

    python benchmarks/early_stopping.py OUT [--sweep tune_configs/smoke.yaml] [--seeds 0 1 2]

Sweeps that OUT does not hold yet are run. A run is a function of its configuration and seed, so a trial that was not
stopped makes the same images in both; the ranking can differ only where one of the best was given up, or where two are
so near that the extractor, which each sweep trains anew, decides. Compute is the seconds of all committed rounds; it is
compared in committed rounds as well, which no other load on the machine changes.
"""

import argparse
from pathlib import Path

from machine import describe_machine

from distal.run.directory import RunDirectory
from distal.sweep.resolve import read_sweep
from distal.sweep.results import Results
from distal.sweep.tuner import run_sweep

TOP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--sweep", default=str(Path(__file__).parents[1] / "tune_configs" / "smoke.yaml"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    print(describe_machine())
    print("| seed | trials | stopped early | rounds saved | compute saved | top two without | top two with | equal |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in arguments.seeds:
        without = run_or_read(arguments, seed, "none")
        stopped = run_or_read(arguments, seed, "asha")
        rounds, seconds = (1.0 - spent(stopped, what) / spent(without, what) for what in ("rounds", "seconds"))
        best = [[f"{c} ({c.objective:.3g})" for c in results.ranking[:TOP]] for results in (without, stopped)]
        given_up = sum(trial.state == "stopped" for trial in stopped.trials)
        points = [[candidate.point for candidate in results.ranking[:TOP]] for results in (without, stopped)]
        equal = "yes" if points[0] == points[1] else "no"
        tops = " | ".join("; ".join(names) for names in best)
        saved = f"{rounds:.0%} | {seconds:.0%}"
        print(f"| {seed} | {len(stopped.trials)} | {given_up} | {saved} | {tops} | {equal} |", flush=True)


def run_or_read(arguments: argparse.Namespace, seed: int, scheduler: str) -> Results:
    name = f"{scheduler}-{seed}"
    own = [f"name={name}", f"storage={arguments.out}", f"seed={seed}", f"seeds=[{seed}]"]
    directory = RunDirectory.open(arguments.out, name)
    if directory.has("results.parquet"):
        return Results.read(directory)
    sweep = read_sweep(arguments.sweep, [*own, f"early_stop.scheduler={scheduler}"])
    return run_sweep(sweep, resume=directory.has("sweep.yaml"))


def spent(results: Results, what: str) -> float:
    return sum(len(trial.curve) if what == "rounds" else trial.seconds for trial in results.trials)


if __name__ == "__main__":
    main()

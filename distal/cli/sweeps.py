"""Search with whole runs."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from distal.cli.ending import AGAIN, ending
from distal.cli.output import show
from distal.cli.runs import split_arguments
from distal.errors import ConfigError
from distal.places import storage_and_name

if TYPE_CHECKING:
    from distal.sweep.config import SweepConfig

SweepArguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SWEEP.yaml|FOLDER|KEY=VALUE",
        help="A sweep's YAML file, or the folder of one that was begun; then overrides such as trials=20 "
        "base.pool.path=scans.parquet.",
    ),
]


@ending(AGAIN)
def tune(
    arguments: SweepArguments = None,
    resume: Annotated[bool, typer.Option("--resume", help="Take up a sweep that was interrupted.")] = False,
) -> None:
    """Search strategies, weights or any other key with whole runs, giving up the hopeless early.

    A sweep lies in <storage>/<name>: results.parquet, best.yaml, which `distal run` takes, report.html, and under
    trials/ a run each. The folder tune_configs/ holds sweeps to start from. For example:

    \b
        distal tune tune_configs/smoke.yaml
        distal tune tune_configs/strategies.yaml base.pool.path=scans.parquet seeds=[0,1,2]
        distal tune sweeps/strategies --resume
    """
    run_sweep_config(_read(arguments), resume)


def run_sweep_config(sweep: "SweepConfig", resume: bool) -> None:
    """Run a checked sweep, show its progress and its end."""
    from distal.report.wording import count
    from distal.sweep.display import SweepDisplay
    from distal.sweep.page import lead, warnings
    from distal.sweep.tuner import run_sweep

    place = shlex.quote(f"{sweep.storage}/{sweep.name}")
    with (
        ending(f"distal tune {place} --resume"),
        SweepDisplay(Console(stderr=True, highlight=False, soft_wrap=True)) as display,
    ):
        results = run_sweep(sweep, resume=resume, watch=display)
    states = [trial.state for trial in results.trials]
    counts = ", ".join(f"{states.count(s)} {s}" for s in ("finished", "stopped", "failed", "unfinished") if s in states)
    show(f"{count(len(states), 'trial')}: {counts}; early stopping left out {results.saved:.0%} of the compute")
    place = results.directory.uri
    for sentence in (lead(results), *warnings(results)):
        show(sentence)
    if results.ranking:
        show(f"best: {place}/best.yaml")
    show(f"report: {place}/report.html")


def _read(arguments: list[str] | None) -> "SweepConfig":
    from distal.run.directory import RunDirectory
    from distal.sweep.config import SweepConfig
    from distal.sweep.resolve import make_sweep, read_saved_sweep, read_sweep
    from distal.tree import apply_override

    path, overrides = split_arguments(arguments)
    if path is None:
        raise ConfigError("tune: what is searched?\nGive a sweep's YAML file first, such as tune_configs/smoke.yaml.")
    if Path(path).suffix in (".yaml", ".yml"):
        return read_sweep(path, overrides)
    directory = RunDirectory.open(*storage_and_name(path))
    sweep, _ = read_saved_sweep(directory)
    storage, name = storage_and_name(path)
    tree = sweep.model_dump(mode="json") | {"storage": storage, "name": name}
    for override in overrides:
        apply_override(tree, override, SweepConfig)
    return make_sweep(tree)

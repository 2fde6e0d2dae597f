"""Run, resume and look at runs."""

import json
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from distal.cli.ending import AGAIN, ending
from distal.cli.output import can_be_encoded, show, show_step
from distal.errors import ConfigError, RunError
from distal.places import storage_and_name

if TYPE_CHECKING:
    from distal.config import Config
    from distal.run.directory import RunDirectory

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CONFIG.yaml|KEY=VALUE",
        help="A YAML file (optional), then overrides such as query.strategy=margin pool.classes=[cat,dog].",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="What is changed, such as rounds=20 or train.workers=2."),
]
RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's directory: <storage>/<name>, a local path or a URI.")
]
Round = Annotated[int | None, typer.Option(min=1, help="A committed round; the last where it is left out.")]


@ending(AGAIN)
def run(arguments: Overrides = None) -> None:
    """Run active learning; a run that exists is continued.

    Settings come from the defaults, then from the YAML file, then from overrides of single keys; their values are
    YAML. `distal config` prints every key with what it means. For example:

    \b
        distal run pool.path=scans.parquet pool.classes=[good,scratch,dent] oracle.kind=files rounds=10
        distal run mine.yaml name=second query.strategy=badge stop.fid=20

    A run lies in <storage>/<name>. Where people label, it ends when labels are awaited; `distal resume` goes on.
    """
    from distal.resolve import read_config

    path, overrides = split_arguments(arguments)
    run_config(read_config(path, overrides))


@ending(AGAIN)
def resume(path: RunPath, arguments: Changes = None) -> None:
    """Continue a run where it stopped.

    Only what does not change the results so far may be changed: rounds, stop.*, address, pool.shards, train.workers,
    the resources of both, and the place of the same images. For example:

    \b
        distal resume runs/digits rounds=20
    """
    from distal.checkpoints import read_saved
    from distal.report.advice import take_up
    from distal.resolve import override_config
    from distal.run.directory import RunDirectory

    storage, name = storage_and_name(path)
    saved = read_saved(RunDirectory.open(storage, name))
    config = override_config(saved.config, [quoted("storage", storage), quoted("name", name), *(arguments or [])])
    how = take_up(config, path)
    if not how.command:
        raise RunError(f"{path}: cannot be resumed from the command line.\nInstead {how.text}.")
    run_config(config)


def status(path: RunPath) -> None:
    """Show how far a run is and what comes next, without touching it."""
    from distal.cli.status import describe_status

    show(describe_status(open_run(path)))


def config(arguments: Overrides = None) -> None:
    """Print every key with its value and what it means, as YAML that `run` takes.

    \b
        distal config query.strategy=badge > mine.yaml
    """
    from distal.resolve import describe_config, read_config

    path, overrides = split_arguments(arguments)
    config = read_config(path, overrides)
    text = describe_config(config)
    sys.stdout.write(text if can_be_encoded(text) else describe_config(config, ascii=True))


def validate(
    arguments: Overrides = None,
    folds: Annotated[int, typer.Option(min=2, help="How many parts the labels are cut into.")] = 5,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Updates of each model; default: those of the whole run.")
    ] = None,
) -> None:
    """Cross-validate: train anew without each fold of the labels, and say how far distance and accuracy deviate.

    The labels are those of the run of this name, if there is one, else those given (query.labels); of a pool whose
    labels are all known (oracle.kind=dataset) as many as the run would ask for, drawn at random. The accuracy is that
    of the labels left out, the distance that to the held-out images. It takes as long as FOLDS trainings.

    \b
        distal validate mine.yaml --folds 5
        distal validate mine.yaml model.kind=vae --steps 500
    """
    from distal.cli.validate import validate_config
    from distal.resolve import read_config

    path, overrides = split_arguments(arguments)
    show(validate_config(read_config(path, overrides), folds, steps, show_step))


def report(
    path: RunPath,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="pool.path=..., where the pool lies elsewhere now.")
    ] = None,
) -> None:
    """Write the run's report.html again and print where it is; without its pool, it has no thumbnails.

    \b
        distal report runs/photos pool.path=/mnt/archive/photos.parquet
    """
    from distal.checkpoints import read_saved
    from distal.data.references import kept_references
    from distal.data.tables import SavedImages, read_tables
    from distal.report.write import write_report
    from distal.resolve import override_config

    overrides = arguments or []
    wrong = [override for override in overrides if not override.startswith(("pool.path=", "pool.cache="))]
    if wrong:
        raise ConfigError(f"'{wrong[0]}': a report takes pool.path=... and pool.cache=... alone.\nLeave it out.")
    opened = open_run(path)
    saved = read_saved(opened)
    pool = override_config(saved.config, overrides).pool
    tables = read_tables(opened)
    references = kept_references(opened, tables.tables)
    images = SavedImages(opened, pool, saved.resolved["fingerprint"], tables, references)
    show(write_report(opened, images, saved.classes))


def run_config(config: "Config") -> None:
    """Run a checked configuration, show its progress and its end."""
    from distal.cli.display import show_progress
    from distal.driver.learner import ActiveLearner
    from distal.report.proof import proof_view
    from distal.run.directory import RunDirectory

    uri = RunDirectory.open(config.storage, config.name).uri
    with ending(f"distal resume {shlex.quote(uri)}"):
        outcome = ActiveLearner(config, listen=show_progress).run()
    show(outcome.message)
    if outcome.kind == "stopped" and config.prove.enabled:
        proof = proof_view(RunDirectory.open(config.storage, config.name))
        show("" if proof is None else proof.sentence)
    if outcome.kind == "stopped":
        show(f"report: {uri}/report.html")
        if not config.prove.enabled:
            show(f"do its images pay? distal prove {shlex.quote(uri)}")


def split_arguments(arguments: list[str] | None) -> tuple[str | None, list[str]]:
    """Split a command's arguments into the YAML file, if one is given first, and the overrides."""
    items = arguments or []
    return (items[0], items[1:]) if items and "=" not in items[0] else (None, items)


def quoted(key: str, text: str) -> str:
    """Return the override that sets a key to this very text, which YAML might else take for a number or a date."""
    return f"{key}={json.dumps(text, ensure_ascii=False)}"  # of JSON's escapes YAML does not join surrogate pairs


def open_run(path: str) -> "RunDirectory":
    """Open the run directory at <storage>/<name>."""
    from distal.run.directory import RunDirectory

    return RunDirectory.open(*storage_and_name(path))

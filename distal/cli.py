"""The command line: run, resume, status, config, data, generate, evaluate, report."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from distal.errors import DistalError

if TYPE_CHECKING:
    from distal.config import Config
    from distal.rundir import RunDirectory

app = typer.Typer(
    name="distal",
    help="Grow a generative model from few labels: distributed active learning on Ray.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Bring images in, and look at what is there.", no_args_is_help=True)
app.add_typer(data_app, name="data")

out = Console(highlight=False, soft_wrap=True)

Overrides = Annotated[
    list[str] | None, typer.Argument(help="A YAML file first (optional), then overrides such as query.strategy=margin.")
]
RunPath = Annotated[str, typer.Argument(help="A run's directory: <storage>/<name>, a local path or a URI.")]


def main() -> None:
    """Run the command line; a known error prints its message alone and sets the exit code of its kind."""
    logging.basicConfig(
        level=os.environ.get("DISTAL_LOG", "WARNING"),
        format="%(name)s: %(message)s",
        handlers=[RichHandler(console=Console(stderr=True), show_path=False, show_time=False)],
    )
    try:
        app()
    except DistalError as error:
        Console(stderr=True, highlight=False).print("[bold red]error:[/] ", end="")
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; every answered label and committed round is kept: distal resume continues\n")
        sys.exit(130)


@app.command()
def run(arguments: Overrides = None) -> None:
    """Run active learning: distal run [CONFIG.yaml] [key=value ...]. A run that exists is continued."""
    from distal.resolve import read_config

    path, overrides = _split(arguments)
    _run(read_config(path, overrides))


@app.command()
def resume(path: RunPath, arguments: Overrides = None) -> None:
    """Continue a run where it stopped; rounds, stop.*, shards and workers may be changed by key=value."""
    from distal.checkpoints import read_saved
    from distal.resolve import override_config
    from distal.rundir import RunDirectory

    storage, name = _storage_and_name(path)
    saved = read_saved(RunDirectory.open(storage, name))
    _run(override_config(saved.config, [f"storage={json.dumps(storage)}", f"name={name}", *(arguments or [])]))


@app.command()
def status(path: RunPath) -> None:
    """Show how far a run is, without touching it."""
    from distal.status import describe_status

    out.print(describe_status(_open(path)), markup=False)


@app.command()
def config(arguments: Overrides = None) -> None:
    """Print the resolved configuration tree with every default and its description, as YAML that `run` takes."""
    from distal.resolve import describe_config, read_config

    path, overrides = _split(arguments)
    sys.stdout.write(describe_config(read_config(path, overrides)))


@app.command()
def generate(
    path: RunPath,
    out_path: Annotated[str, typer.Option("--out", "-o", help="A .png for a grid, or a .parquet for rows.")],
    classes: Annotated[
        list[str] | None, typer.Option("--class", "-c", help="Class by name or number; repeat it; default all.")
    ] = None,
    per_class: Annotated[int, typer.Option("--per-class", "-n", min=1, help="Images of each class.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the latents.")] = 0,
    round: Annotated[int | None, typer.Option(min=1, help="A committed round; default the last.")] = None,
) -> None:
    """Generate images of the asked classes with a run's generator."""
    from distal.checkpoints import open_generator
    from distal.generate import write_generated

    generator = open_generator(_open(path), round)
    names = classes or list(generator.saved.classes)
    count = write_generated(generator, [generator.class_index(name) for name in names], per_class, seed, Path(out_path))
    out.print(f"wrote {count} images of {len(names)} classes from round {generator.round} to {out_path}", markup=False)


@app.command()
def evaluate(
    path: RunPath,
    arguments: Annotated[
        list[str] | None, typer.Argument(help="Overrides under evaluate., such as evaluate.samples=5000.")
    ] = None,
    round: Annotated[int | None, typer.Option(min=1, help="A committed round; default the last.")] = None,
) -> None:
    """Score a committed round again, for example against other images or with another extractor; prints JSON."""
    from distal.evaluate import evaluate_round

    scores = evaluate_round(_open(path), arguments or [], round)
    sys.stdout.write(json.dumps([score.to_json() for score in scores], indent=1) + "\n")


@app.command()
def report(path: RunPath) -> None:
    """Write the run's report.html again and print where it is."""
    from distal.report import write_report
    from distal.setup import open_saved_images

    opened = _open(path)
    saved, images = open_saved_images(opened)
    out.print(write_report(opened, images, saved.classes, None), markup=False)


@data_app.command("import")
def data_import(
    source: Annotated[
        str, typer.Argument(help="Folder of images, idx(.gz) folder, CIFAR .bin, .npz/.npy, or 'digits'.")
    ],
    target: Annotated[str, typer.Argument(help="Parquet file or folder to write.")],
    kind: Annotated[str | None, typer.Option(help="folder, idx, cifar10, cifar100, array or digits; guessed.")] = None,
) -> None:
    """Turn images of another format into Parquet."""
    from distal.data.importers import import_images

    out.print(str(import_images(source, target, kind)), markup=False)


@data_app.command("info")
def data_info(
    path: Annotated[str, typer.Argument(help="Parquet file, folder, glob or URI; or 'digits'.")],
    arguments: Overrides = None,
) -> None:
    """Show rows, sizes, classes and counts; pool.* overrides say how to read them."""
    from distal.data.describe import describe
    from distal.data.table import open_images
    from distal.resolve import read_config

    pool = read_config(None, [f"pool.path={json.dumps(path)}", *(arguments or [])]).pool
    out.print(str(describe(open_images(pool))), markup=False)


def _run(config: "Config") -> None:
    from distal.display import Display
    from distal.learner import ActiveLearner

    with Display(config, Console(stderr=True, highlight=False)) as display:
        learner = ActiveLearner(config, listen=display)
        outcome = learner.run()
    uri = learner.run_directory.uri
    out.print(outcome.message, markup=False)
    if outcome.kind == "stopped":
        out.print(f"report: {uri}/report.html", markup=False)


def _split(arguments: list[str] | None) -> tuple[str | None, list[str]]:
    items = arguments or []
    return (items[0], items[1:]) if items and "=" not in items[0] else (None, items)


def _storage_and_name(path: str) -> tuple[str, str]:
    storage, slash, name = path.rstrip("/").rpartition("/")
    return (storage if slash else ".") or "/", name


def _open(path: str) -> "RunDirectory":
    from distal.rundir import RunDirectory

    return RunDirectory.open(*_storage_and_name(path))

"""The command line: run, resume, status, config, data, generate, evaluate, report."""

import json
import logging
import os
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from distal import __version__
from distal.errors import ConfigError, DistalError

if TYPE_CHECKING:
    from distal.config import Config
    from distal.rundir import RunDirectory

app = typer.Typer(
    name="distal",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Bring images in, and look at what is there.", no_args_is_help=True)
app.add_typer(data_app, name="data")

out = Console(highlight=False, soft_wrap=True)

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
PoolKeys = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="How to read it, such as pool.image_column=img."),
]
RunPath = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's directory: <storage>/<name>, a local path or a URI.")
]
Round = Annotated[int | None, typer.Option(min=1, help="A committed round; the last where it is left out.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; a known error prints its message alone, with its kind's code."""
    try:
        _log_to_stderr(os.environ.get("DISTAL_LOG", "WARNING"))
        app(args=arguments, prog_name="distal")
    except SystemExit as end:  # how typer ends: after a command, a usage error, and Ctrl-C without a word
        if end.code == 130:
            sys.stderr.write("interrupted; every answered label and committed round is kept: distal resume continues\n")
        return end.code if isinstance(end.code, int) else 1
    except DistalError as error:
        Console(stderr=True, highlight=False).print("[bold red]error:[/] ", end="")
        sys.stderr.write(f"{_printable(str(error))}\n")
        return error.exit_code
    except BrokenPipeError:  # whoever reads our output, `head` for one, has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _log_to_stderr(level: str) -> None:
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    try:
        handler.setFormatter(_PrintableFormatter("%(name)s: %(message)s"))
        logging.basicConfig(level=level.upper(), handlers=[handler])
    except ValueError:
        raise ConfigError(f"DISTAL_LOG: unknown level '{level}'.\nKnown: DEBUG, INFO, WARNING, ERROR.") from None


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _printable(super().format(record))


def _show(text: str) -> None:
    out.print(_printable(text), markup=False)


def _printable(text: str) -> str:
    """Escape what a terminal would obey rather than show: names and paths in a pool or a run are other people's."""
    plain = (c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else _escaped(c) for c in text)
    return "".join(plain)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _print_version(asked: bool) -> None:
    if asked:
        _show(f"distal {__version__}")
        raise typer.Exit


@app.callback()
def distal(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Grow a generative model from few labels: distributed active learning on Ray."""


@app.command()
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

    path, overrides = _split(arguments)
    _run(read_config(path, overrides))


@app.command()
def resume(path: RunPath, arguments: Changes = None) -> None:
    """Continue a run where it stopped.

    Only what does not change the results so far may be changed: rounds, stop.*, address, pool.shards, train.workers,
    the resources of both, and the place of the same images. For example:

    \b
        distal resume runs/digits rounds=20
    """
    from distal.checkpoints import read_saved
    from distal.resolve import override_config
    from distal.rundir import RunDirectory

    storage, name = _storage_and_name(path)
    saved = read_saved(RunDirectory.open(storage, name))
    _run(override_config(saved.config, [_quoted("storage", storage), _quoted("name", name), *(arguments or [])]))


@app.command()
def status(path: RunPath) -> None:
    """Show how far a run is and what comes next, without touching it."""
    from distal.status import describe_status

    _show(describe_status(_open(path)))


@app.command()
def config(arguments: Overrides = None) -> None:
    """Print every key with its value and what it means, as YAML that `run` takes.

    \b
        distal config query.strategy=badge > mine.yaml
    """
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
    round: Round = None,
) -> None:
    """Generate images of the asked classes with a run's generator.

    \b
        distal generate runs/digits --out threes.png --class 3 --per-class 40
        distal generate runs/digits --out more.parquet --per-class 1000
    """
    from distal.checkpoints import open_generator
    from distal.generate import write_generated

    generator = open_generator(_open(path), round)
    names = classes or list(generator.saved.classes)
    count = write_generated(generator, [generator.class_index(name) for name in names], per_class, seed, Path(out_path))
    _show(f"wrote {count} images of {len(names)} classes from round {generator.round} to {out_path}")


@app.command()
def evaluate(
    path: RunPath,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Keys under evaluate., such as evaluate.samples=5000."),
    ] = None,
    round: Round = None,
) -> None:
    """Score a committed round again, with more samples, other images or another extractor; print JSON.

    \b
        distal evaluate runs/digits evaluate.path=held-out.parquet evaluate.samples=5000
    """
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
    _show(write_report(opened, images, saved.classes, None))


@data_app.command("import")
def data_import(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="Folder of images (subfolders are classes), idx or CIFAR .bin files or their folder, .npz, .npy, "
            "or 'digits'.",
        ),
    ],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Parquet file, or folder of them, to write.")],
    kind: Annotated[
        str | None, typer.Option(help="folder, idx, cifar10, cifar100, array or digits; guessed where left out.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="File of labels for idx or .npy, unless it has its usual name.")
    ] = None,
    split: Annotated[
        str, typer.Option(help="train or test, where a folder of idx or CIFAR files holds both.")
    ] = "train",
) -> None:
    """Turn images of another format into a pool of Parquet.

    \b
        distal data import photos/ pool.parquet
        distal data import mnist/ mnist-test.parquet --split test
    """
    from distal.data.importers import import_images

    _show(str(import_images(source, target, kind, labels=labels, split=split)))


@data_app.command("info")
def data_info(
    path: Annotated[str, typer.Argument(metavar="POOL", help="Parquet file, folder, glob or URI; or 'digits'.")],
    arguments: PoolKeys = None,
) -> None:
    """Show a pool's rows, image sizes, classes and counts, and what of it cannot be read."""
    from distal.data.describe import describe
    from distal.data.table import open_images
    from distal.resolve import read_config

    pool = read_config(None, [_quoted("pool.path", path), *(arguments or [])]).pool
    _show(str(describe(open_images(pool))))


def _run(config: "Config") -> None:
    from distal.display import Display
    from distal.learner import ActiveLearner

    with Display(config, Console(stderr=True, highlight=False, soft_wrap=True)) as display:
        learner = ActiveLearner(config, listen=display)
        outcome = learner.run()
    uri = learner.run_directory.uri
    _show(outcome.message)
    if outcome.kind == "stopped":
        _show(f"report: {uri}/report.html")


def _split(arguments: list[str] | None) -> tuple[str | None, list[str]]:
    items = arguments or []
    return (items[0], items[1:]) if items and "=" not in items[0] else (None, items)


def _quoted(key: str, text: str) -> str:
    """Return the override that sets a key to this very text, which YAML might else take for a number or a date."""
    return f"{key}={json.dumps(text, ensure_ascii=False)}"  # of JSON's escapes YAML does not join surrogate pairs


def _storage_and_name(path: str) -> tuple[str, str]:
    storage, slash, name = path.rstrip("/").rpartition("/")
    return (storage if slash else ".") or "/", name


def _open(path: str) -> "RunDirectory":
    from distal.rundir import RunDirectory

    return RunDirectory.open(*_storage_and_name(path))

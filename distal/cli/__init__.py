"""The command line: runs, sweeps, jobs, data."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from distal import __version__
from distal.cli import data, jobs, judge, label, labels, learned, runs, sweeps
from distal.cli.ending import end_on_sigterm
from distal.cli.output import escape_what_has_no_code, log_to_stderr, show, show_error
from distal.errors import DistalError

RAYS_OBITUARY = ("RAY_DEDUP_LOGS_SKIP_REGEX", "^Raylet is terminated")
"""What keeps the last records of a raylet that died off the terminal; they are in Ray's log, and distal says it."""

app = typer.Typer(
    name="distal",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    runs.run,
    runs.resume,
    runs.status,
    runs.config,
    learned.generate,
    learned.evaluate,
    learned.export,
    learned.prove,
    runs.validate,
    runs.report,
    labels.export_tasks,
    labels.import_labels,
    label.label,
    judge.judge,
    sweeps.tune,
    jobs.submit,
):
    app.command()(command)
data_app = typer.Typer(help="Bring images in, and look at what is there.", no_args_is_help=True)
data_app.command("import")(data.data_import)
data_app.command("info")(data.data_info)
data_app.command("prepare")(data.data_prepare)
app.add_typer(data_app, name="data")
jobs_app = typer.Typer(help="Look after what `distal submit` sent to a cluster.", no_args_is_help=True)
for name, action in (("list", jobs.list_jobs), ("status", jobs.status), ("logs", jobs.logs), ("stop", jobs.stop)):
    jobs_app.command(name)(action)
jobs_app.command("execute", hidden=True)(jobs.execute)
app.add_typer(jobs_app, name="jobs")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; a known error prints its message alone, with its kind's code."""
    escape_what_has_no_code()
    os.environ.setdefault(*RAYS_OBITUARY)  # which Ray reads when it is imported
    try:
        log_to_stderr()
        end_on_sigterm()
        app(args=arguments, prog_name="distal")
    except (
        SystemExit
    ) as end:  # how typer ends: after a command, a usage error, and other commands' Ctrl-C without a word
        return end.code if isinstance(end.code, int) else 1
    except DistalError as error:
        show_error(error)
        return error.exit_code
    except BrokenPipeError:  # whoever reads our output, `head` for one, has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 0


def _print_version(asked: bool) -> None:
    if asked:
        show(f"distal {__version__}")
        raise typer.Exit


@app.callback()
def distal(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Grow a generative model from few labels: distributed active learning on Ray."""

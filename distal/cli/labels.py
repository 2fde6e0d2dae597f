"""Carry questions to labeling tools and answers back."""

from typing import Annotated

import typer

from distal.cli.output import show
from distal.cli.runs import RunPath, open_run


def export_tasks(
    path: RunPath,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="pool.path=..., where the pool lies elsewhere now.")
    ] = None,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder to write them into.")] = "tasks",
    form: Annotated[str, typer.Option("--format", "-f", help="label-studio, coco, cvat or csv.")] = "label-studio",
    url: Annotated[
        str | None,
        typer.Option(help="Where the tool finds an image, such as s3://scans/{path}; else images travel along."),
    ] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Label Studio: tell people what the probe takes each image for.")
    ] = False,
) -> None:
    """Write the images that await a label as tasks of a labeling tool.

    \b
        distal export-tasks runs/scans --out to-label
        distal export-tasks runs/scans --format cvat --out for-cvat
    """
    from distal.cli.tasks import export_tasks

    show(export_tasks(open_run(path), arguments or [], out, form, url, suggest))


def import_labels(
    path: RunPath,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What the tool has exported: JSON, CSV, XML or ZIP.")],
    annotator: Annotated[str, typer.Option(help="Who answered, where the file does not say.")] = "imported",
) -> None:
    """Take the labels that a labeling tool has exported; its format is seen from the file.

    A line that cannot be taken is refused by its number and reason; the others are kept. It may be imported again.

    \b
        distal import-labels runs/scans project-1-at-2026-11-28.json
    """
    from distal.cli.tasks import import_labels

    show(import_labels(open_run(path), file, annotator))

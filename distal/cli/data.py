"""Bring images in, and look at what is there."""

from typing import Annotated

import typer

from distal.cli.output import show
from distal.cli.runs import quoted

PoolKeys = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="How to read it, such as pool.image_column=img."),
]


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
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="Encrypt it by the first key in DISTAL_PARQUET_KEYS.")
    ] = False,
) -> None:
    """Turn images of another format into a pool of Parquet.

    \b
        distal data import photos/ pool.parquet
        distal data import mnist/ mnist-test.parquet --split test
    """
    from distal.data.importers import import_images

    show(str(import_images(source, target, kind, labels=labels, split=split, encrypt=encrypt)))


def data_info(
    path: Annotated[str, typer.Argument(metavar="POOL", help="Parquet file, folder, glob or URI; or 'digits'.")],
    arguments: PoolKeys = None,
) -> None:
    """Show a pool's rows, image sizes, classes and counts, and what of it cannot be read."""
    from distal.data.describe import describe
    from distal.data.table import open_images
    from distal.resolve import read_config

    pool = read_config(None, [quoted("pool.path", path), *(arguments or [])]).pool
    show(str(describe(open_images(pool))))

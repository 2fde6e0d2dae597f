"""Bring images in, and look at what is there."""

import time
from collections.abc import Callable
from typing import Annotated

import typer

from distal.cli.output import show, show_step
from distal.cli.runs import quoted

_TELL_S = 5.0

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


def data_prepare(
    path: Annotated[str, typer.Argument(metavar="POOL", help="Parquet file, folder, glob or URI.")],
    out: Annotated[str, typer.Option(help="Folder or URI that all runs reach.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="As runs will have them: pool.image_size=64, features.network=..."),
    ] = None,
    verify: Annotated[bool, typer.Option(help="Read what is there, and make what is damaged anew.")] = False,
) -> None:
    """Decode and embed a pool once, for all runs that share it; what is there already is not made again.

    \b
        distal data prepare s3://scans/pool/ --out s3://scans/prepared pool.image_size=64 address=auto
        distal run pool.path=s3://scans/pool/ pool.prepared=s3://scans/prepared pool.image_size=64 ...
    """
    from distal.driver.preparing import prepare_pool
    from distal.resolve import read_config

    config = read_config(None, [quoted("pool.path", path), *(arguments or [])])
    show(str(prepare_pool(config, out, verify, _show_done())))


def _show_done() -> Callable[[int, int], None]:
    """Return what says on stderr how many rows are done, at most every few seconds."""
    began, last = time.monotonic(), 0.0

    def tell(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic() - began
        if total and (now - last >= _TELL_S or done in (0, total)):
            last = now
            show_step(f"{done:,} of {total:,} rows" + (f", {done / now:,.0f} a second" if done else ""))

    return tell


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

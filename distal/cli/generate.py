"""Write generated images: a PNG grid, a folder by class, or Parquet in the convention that pools are read in."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from distal.data.generated import encode_image
from distal.data.writer import PoolWriter, pool_schema
from distal.driver.choosing import Chosen
from distal.errors import ConfigError, StorageError
from distal.places import absolute
from distal.report.grid import sample_grid
from distal.report.rows import row_names
from distal.run.directory import with_options
from distal.run.files import ObjectFiles, without_keys

Images = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

MANIFEST = "manifest.csv"
PROVENANCE = {
    "run": pa.string(),
    "round": pa.int64(),
    "seed": pa.int64(),
    "latents": pa.string(),
    "latent": pa.int64(),
    "confidence": pa.float64(),
    "closeness": pa.float64(),
}
"""Where an image comes from: the run's URI, round and seed, how latents are chosen, and which of the seed's it is; the
judge's probability of its class, and how close it is to a training image, below 1 for a copy; null without a filter."""


@dataclass(frozen=True)
class Origin:
    """Say where all images come from. run: its URI. latents: how they are chosen. classes: names in label order."""

    run: str
    round: int
    seed: int
    latents: str
    classes: tuple[str, ...]


def write_chosen(chosen: Chosen, origin: Origin, target: str) -> None:
    """Write generated images with where they come from.

    target: a local path or a URI that pyarrow.fs reaches. A `.png` holds one row of images for each class; a `.parquet`
    holds columns `image` (struct<bytes, path>, PNG) and `label`, with the class names in its schema, so that it can be
    read as a pool, and the columns of PROVENANCE; a folder (it ends in `/`, or is there) gets a subfolder of PNGs for
    each class, as `distal data import` takes them, and manifest.csv, which has a row for each.

    Raises:
        ConfigError: another ending. StorageError: it cannot be written.
    """
    place, mark, options = target.partition("?") if "://" in target else (absolute(target), "", "")
    folder = target.endswith("/") or place.endswith("/") or Path(place).is_dir()
    name = "" if folder else place.rpartition("/")[2]
    ending = Path(name).suffix
    if not folder and ending not in (".png", ".parquet"):
        raise ConfigError(
            f"--out: '{without_keys(target)}' ends in neither .png nor .parquet nor /.\n"
            "Give a .png for a grid, a .parquet for rows, or a folder for an image each."
        )
    files = _open(place.removesuffix(name).rstrip("/"), mark + options)
    try:
        if folder:
            for path, data in _by_class(chosen, origin):
                files.write(path, data)
            files.write(MANIFEST, _manifest(chosen, origin))
        elif ending == ".png":
            files.write(name, _grid(chosen, origin))
        else:
            rows = pa.BufferOutputStream()
            pq.write_table(_as_table(chosen, origin), rows)
            files.write(name, rows.getvalue().to_pybytes())
    except StorageError as error:
        raise StorageError(f"{str(error).splitlines()[0]}\nGive another --out.") from None


def write_labeled(images: Images, labels: Ints, row_ids: Ints, classes: tuple[str, ...], target: str) -> None:
    """Write labeled images [m, C, S, S] of a run as a pool, a row of `image` and `label` each, named by its row id.

    target: a local path that ends in .parquet.

    Raises:
        ConfigError: it does not. PoolError, StorageError: it is there already, or cannot be written.
    """
    if "://" in target or not target.endswith(".parquet"):
        raise ConfigError(
            f"--labeled: '{without_keys(target)}' is no local .parquet.\nGive for example labeled.parquet."
        )
    with PoolWriter(Path(target), classes) as pool:
        for image, label, row_id in zip(images, labels.tolist(), row_ids.tolist(), strict=True):
            pool.add(encode_image(image), f"row-{row_id:09d}.png", label)


def _open(folder: str, options: str) -> ObjectFiles:
    """Return the files of a local folder, or of a URI that has these options.

    Raises:
        StorageError: pyarrow reaches no such place.
    """
    shown = without_keys(folder)
    if "://" not in folder:
        return ObjectFiles(pyarrow.fs.LocalFileSystem(), folder, shown)
    try:
        filesystem, root = pyarrow.fs.FileSystem.from_uri(with_options(folder + options))
        return ObjectFiles(filesystem, root, shown)
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = " ".join(str(error).replace(folder, shown).split())[:200]
        raise StorageError(
            f"--out: cannot write to {shown}: {reason}\nGive a local path, or a URI that pyarrow.fs reaches."
        ) from None


def _grid(chosen: Chosen, origin: Origin) -> bytes:
    """Draw a row of images for each class; where one has fewer than another, cells stay white."""
    labels = np.unique(chosen.labels)
    widest = max(int((chosen.labels == label).sum()) for label in labels)
    sheet = np.full((len(labels), widest, *chosen.images.shape[1:]), 255, np.uint8)
    for row, label in zip(sheet, labels, strict=True):
        own = chosen.images[chosen.labels == label]
        row[: len(own)] = own
    names = row_names(origin.classes, labels.tolist())
    return sample_grid(sheet.reshape(-1, *chosen.images.shape[1:]), widest, row_names=names)


def _by_class(chosen: Chosen, origin: Origin) -> Iterator[tuple[str, bytes]]:
    """Yield each image as PNG, with its path: the class's folder, then a name that no other round or seed has."""
    for image, path in zip(chosen.images, _paths(chosen, origin), strict=True):
        yield path, encode_image(image)


def _paths(chosen: Chosen, origin: Origin) -> list[str]:
    folders = [re.sub(r"^\.|[/\\%\x00-\x1f]", lambda found: f"%{ord(found[0]):02X}", name) for name in origin.classes]
    name = f"round-{origin.round:04d}-seed-{origin.seed}"
    return [f"{folders[label]}/{name}-{i:07d}.png" for label, i in zip(chosen.labels, chosen.latents, strict=True)]


def _provenance(chosen: Chosen, origin: Origin) -> dict[str, list[Any]]:
    """Return the columns of PROVENANCE; what is not known is null."""
    n = len(chosen.labels)
    scores = [[None if np.isnan(v) else float(v) for v in of] for of in (chosen.confidence, chosen.closeness)]
    columns = (
        [origin.run] * n,
        [origin.round] * n,
        [origin.seed] * n,
        [origin.latents] * n,
        chosen.latents.tolist(),
        *scores,
    )
    return dict(zip(PROVENANCE, columns, strict=True))


def _manifest(chosen: Chosen, origin: Origin) -> bytes:
    columns = {
        "path": _paths(chosen, origin),
        "class": [origin.classes[label] for label in chosen.labels],
        **_provenance(chosen, origin),
    }
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue().encode()


def _as_table(chosen: Chosen, origin: Origin) -> pa.Table:
    folder = f"round-{origin.round:04d}/seed-{origin.seed}"
    rows = [
        {"bytes": encode_image(image), "path": f"{folder}/{i:07d}.png"}
        for image, i in zip(chosen.images, chosen.latents, strict=True)
    ]
    table = pa.table({"image": rows, "label": chosen.labels}, schema=pool_schema(origin.classes))
    for name, values in _provenance(chosen, origin).items():
        table = table.append_column(name, pa.array(values, PROVENANCE[name]))
    return table

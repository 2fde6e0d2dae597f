"""Write generated images: a PNG grid, a folder by class, or Parquet in the convention that pools are read in."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from distal.checkpoints import TrainedGenerator
from distal.data.digits import encode_png
from distal.data.writer import pool_schema
from distal.errors import ConfigError, StorageError
from distal.places import absolute
from distal.report.grid import sample_grid
from distal.report.rows import row_names
from distal.run.directory import with_options
from distal.run.files import ObjectFiles, without_keys
from distal.train.latents import find_selector

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


def write_generated(
    generator: TrainedGenerator,
    classes: Sequence[int],
    per_class: int,
    seed: int,
    target: str,
    latents: str = "drawn",
) -> int:
    """Generate `per_class` images of each class and write them; return how many.

    latents: how they are chosen, by name: see `distal.train.latents`.
    target: a local path or a URI that pyarrow.fs reaches. A `.png` holds one row of images for each class; a `.parquet`
    holds columns `image` (struct<bytes, path>, PNG) and `label`, with the class names in its schema, so that it can be
    read as a pool; a folder (it ends in `/`, or is there) gets a subfolder of PNGs for each class, as
    `distal data import` takes them.

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
    selector = find_selector(latents, "--latents")
    files = _open(place.removesuffix(name).rstrip("/"), mark + options)
    labels = np.repeat(np.asarray(classes, dtype=np.int64), per_class)
    images, saved = generator.images(labels, seed, selector), generator.saved
    try:
        if folder:
            for path, data in _by_class(images, labels, saved.classes, generator.round, seed):
                files.write(path, data)
        elif ending == ".png":
            files.write(name, sample_grid(images, per_class, row_names=row_names(saved.classes, classes)))
        else:
            rows = pa.BufferOutputStream()
            pq.write_table(_as_table(images, labels, saved.classes, generator.round, seed), rows)
            files.write(name, rows.getvalue().to_pybytes())
    except StorageError as error:
        raise StorageError(f"{str(error).splitlines()[0]}\nGive another --out.") from None
    return len(labels)


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


def _by_class(
    images: Images, labels: Labels, classes: Sequence[str], round: int, seed: int
) -> Iterator[tuple[str, bytes]]:
    """Yield each image as PNG, with its path: the class's folder, then a name that no other round or seed has."""
    folders = [re.sub(r"^\.|[/\\%\x00-\x1f]", lambda found: f"%{ord(found[0]):02X}", name) for name in classes]
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield f"{folders[label]}/round-{round:04d}-seed-{seed}-{i:07d}.png", _png(image)


def _as_table(images: Images, labels: Labels, classes: Sequence[str], round: int, seed: int) -> pa.Table:
    rows = [
        {"bytes": _png(image), "path": f"round-{round:04d}/seed-{seed}/{i:07d}.png"} for i, image in enumerate(images)
    ]
    return pa.table({"image": rows, "label": labels}, schema=pool_schema(tuple(classes)))


def _png(image: Images) -> bytes:
    return encode_png(image[0] if len(image) == 1 else image.transpose(1, 2, 0))

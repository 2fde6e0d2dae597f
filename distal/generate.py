"""Write generated images to a PNG grid or to Parquet in the convention that pools are read in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.checkpoints import TrainedGenerator
from distal.data.digits import encode_png
from distal.data.writer import pool_schema
from distal.errors import ConfigError, StorageError
from distal.report.grid import sample_grid
from distal.report.rows import row_names


def write_generated(
    generator: TrainedGenerator, classes: Sequence[int], per_class: int, seed: int, target: Path
) -> int:
    """Generate `per_class` images of each class and write them; return how many.

    A `.png` holds one row of images for each class; a `.parquet` holds columns `image` (struct<bytes, path>, PNG) and
    `label`, with the class names in its schema, so that it can be read as a pool.

    Raises:
        ConfigError: another ending. StorageError: the file cannot be written.
    """
    if target.suffix not in (".png", ".parquet"):
        raise ConfigError(
            f"--out: '{target}' ends in neither .png nor .parquet.\nGive a .png for a grid, or a .parquet for rows."
        )
    names = row_names(generator.saved.classes, classes)
    labels = np.repeat(np.asarray(classes, dtype=np.int64), per_class)
    images = generator.images(labels, seed)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".png":
            target.write_bytes(sample_grid(images, columns=per_class, row_names=names))
        else:
            pq.write_table(_as_table(images, labels, generator.saved.classes, generator.round, seed), target)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written ({error.strerror or error}).\nGive another --out.") from None
    return len(labels)


def _as_table(
    images: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], classes: Sequence[str], round: int, seed: int
) -> pa.Table:
    rows = [
        {"bytes": _png(image), "path": f"round-{round:04d}/seed-{seed}/{i:07d}.png"} for i, image in enumerate(images)
    ]
    return pa.table({"image": rows, "label": labels}, schema=pool_schema(tuple(classes)))


def _png(image: npt.NDArray[np.uint8]) -> bytes:
    return encode_png(image[0] if len(image) == 1 else image.transpose(1, 2, 0))

"""Decide the side and the channels of a pool's images: as configured, else as the first images are."""

from typing import get_args

from PIL import Image

from distal.config import ImageSize, PoolConfig
from distal.data.cache import split_images
from distal.data.decode import UndecodableError, is_grey, open_header
from distal.data.rows import RowReader
from distal.data.schema import Columns
from distal.data.source import Source
from distal.errors import PoolError

_FIRST_IMAGES = 16
_LARGEST = 64
_SIZES = [size for size in get_args(ImageSize) if size <= _LARGEST]
"""What is chosen by itself: larger images are asked for, since they cost four times as much with each doubling."""


def first_images(source: Source, columns: Columns) -> list[tuple[bytes | None, str]]:
    """Return the encoded bytes and paths of the first few rows of the files as first found."""
    arrays = RowReader(source, columns.image).stream(0, min(_FIRST_IMAGES, source.tables[0].rows))
    return [image for array in arrays for image in zip(*split_images(array, columns.nested), strict=True)]


def decide_shape(source: Source, columns: Columns, pool: PoolConfig) -> tuple[int, int]:
    """Return side and channels: as configured, else as the first images are.

    Raises PoolError where they are needed and none of the first images can be read.
    """
    if pool.image_size is not None and pool.channels is not None:
        return pool.image_size, pool.channels
    side, grey, readable, reason = 0, True, 0, ""
    for data, _ in first_images(source, columns):
        try:
            image = open_header(data, pool.max_pixels)
            side = max(side, *image.size)
            if pool.channels is None and grey:
                grey = _shows_grey(image)
        except UndecodableError as error:
            reason = reason or str(error)
            continue
        readable += 1
    if readable == 0:
        raise PoolError(
            f"None of the first images in column '{columns.image}' of {source.files[0].name} can be read: {reason}\n"
            "Mend pool.image_column or the images, or set pool.image_size and pool.channels."
        )
    smallest = next((size for size in _SIZES if size >= side), _SIZES[-1])
    return pool.image_size or smallest, pool.channels or (1 if grey else 3)


def _shows_grey(image: Image.Image) -> bool:
    try:
        image.draft(None, (256, 256))
        return is_grey(image)
    except Exception as error:
        raise UndecodableError(str(error)) from error

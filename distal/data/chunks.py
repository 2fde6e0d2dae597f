"""Lay one chunk of decoded images into one file: written whole or not at all, checked when mapped.

    pixels  uint8 [n, C, H, W], from byte 0 on, so that a memory map is aligned
    skips   JSON: [[row within the chunk, path, reason], ...]
    tail    magic, bytes of pixels, bytes of skips, CRC-32 of the skips

The tail comes last: a file that was cut short anywhere has none, or one that contradicts the file's size.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

_TAIL = struct.Struct("<8sQQI")
_MAGIC = b"DISTALU8"


@dataclass(frozen=True)
class Skipped:
    """Name an image that could not be decoded; its pixels are zero and it is neither asked nor trained on."""

    row_id: int
    path: str
    reason: str


@dataclass(frozen=True)
class _Layout:
    pixel_bytes: int
    skip_bytes: int
    skip_crc: int


def write_chunk(path: Path, batches: Iterable[tuple[npt.NDArray[np.uint8], list[Skipped]]], first_row: int) -> int:
    """Write batches of uint8 [m, C, H, W] and their skips to `path`; return the number of images skipped.

    The caller holds the chunk's lock, so that the temporary name is free; what a killed writer left under it is
    overwritten. Raises OSError.
    """
    temporary = path.with_suffix(".tmp")
    pixel_bytes = 0
    skips: list[tuple[int, str, str]] = []
    try:
        with temporary.open("wb") as stream:
            for pixels, skipped in batches:
                pixel_bytes += stream.write(np.ascontiguousarray(pixels).data)
                skips.extend((each.row_id - first_row, each.path, each.reason) for each in skipped)
            text = json.dumps(skips).encode()
            stream.write(text)
            stream.write(_TAIL.pack(_MAGIC, pixel_bytes, len(text), zlib.crc32(text)))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return len(skips)


def map_chunk(path: Path, shape: tuple[int, int, int, int]) -> np.memmap | None:
    """Map the pixels read-only as uint8 of this shape; None where there is no whole chunk of this shape."""
    layout = _read_layout(path)
    if layout is None or layout.pixel_bytes != int(np.prod(shape)):
        return None
    return np.memmap(path, dtype=np.uint8, mode="r", shape=shape)


def read_skips(path: Path, first_row: int) -> list[Skipped] | None:
    """Return the skipped images of a chunk by row id; None where there is no whole chunk."""
    layout = _read_layout(path)
    if layout is None:
        return None
    with path.open("rb") as stream:
        stream.seek(layout.pixel_bytes)
        text = stream.read(layout.skip_bytes)
    if zlib.crc32(text) != layout.skip_crc:
        return None
    return [Skipped(first_row + row, name, reason) for row, name, reason in json.loads(text)]


def _read_layout(path: Path) -> _Layout | None:
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size < _TAIL.size:
                return None
            stream.seek(size - _TAIL.size)
            magic, pixel_bytes, skip_bytes, crc = _TAIL.unpack(stream.read(_TAIL.size))
    except (FileNotFoundError, NotADirectoryError):
        return None
    if magic != _MAGIC or pixel_bytes + skip_bytes + _TAIL.size != size:
        return None
    return _Layout(pixel_bytes, skip_bytes, crc)

"""Read the idx format of MNIST and its kin (LeCun, Cortes, Burges 1998), plain or gzip."""

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import numpy.typing as npt

from distal.data.digits import encode_png
from distal.data.formats.record import MAX_PIXELS, Record, Records, Refused
from distal.errors import PoolError

_UNSIGNED_BYTE = 0x08
_PIECE_BYTES = 2**20
_DAMAGE = (OSError, EOFError, zlib.error)
_IMAGES = re.compile(r"images[.-]idx[34]-ubyte(\.gz)?$")


def is_idx_name(name: str) -> bool:
    """Return whether a file name looks like idx."""
    return re.search(r"[.-]idx\d(-ubyte)?(\.gz)?$", name) is not None


def read_idx(source: Path, labels: Path | None, split: str) -> Records:
    """Open an idx file of images, [N, H, W] or [N, H, W, 3] of unsigned bytes; images keep their order.

    source: the file, or a folder with the standard names (train-images-idx3-ubyte, t10k-..., with or without .gz), of
    which `split`, "train" or "test", is taken. labels: the file of labels; null: the one beside with the standard name,
    none if it is not there. Raises PoolError for damage and for labels that do not fit.
    """
    images = _find_images(source, split) if source.is_dir() else source
    labels = labels or _labels_beside(images)
    count, shape = _read_header(images, ranks=(3, 4))
    if len(shape) == 3 and shape[2] != 3:
        raise PoolError(f"{images} holds images of shape {shape}.\nExpected [H, W] or [H, W, 3].")
    if not 0 < shape[0] * shape[1] <= MAX_PIXELS:
        raise PoolError(
            f"{images} declares images of {shape[0]} x {shape[1]} pixels.\nExpected 1 to {MAX_PIXELS:,} pixels."
        )
    codes = _read_codes(labels, count) if labels is not None else None
    classes = tuple(str(code) for code in range(int(codes.max()) + 1)) if codes is not None and count else None
    return Records(classes, _read_images(images, count, shape, codes))


def _find_images(folder: Path, split: str) -> Path:
    found = sorted(path for path in folder.iterdir() if _IMAGES.search(path.name))
    wanted = [path for path in found if ("train" in path.name) == (split == "train")]
    if len(wanted) == 1:
        return wanted[0]
    plain = [path for path in wanted if path.suffix != ".gz"]
    if len(plain) == 1 and len(wanted) == 2:
        return plain[0]
    names = ", ".join(path.name for path in found[:6]) or "none"
    raise PoolError(
        f"{folder} holds {len(wanted)} idx image files for the split '{split}' (all: {names}).\n"
        "Name one file as SOURCE."
    )


def _labels_beside(images: Path) -> Path | None:
    stem = re.sub(r"images([.-])idx[34]", r"labels\1idx1", images.name)
    plain = stem.removesuffix(".gz")
    candidates = [images.with_name(name) for name in (stem, plain, plain + ".gz") if name != images.name]
    return next((path for path in candidates if path.is_file()), None)


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")


def _read_header(path: Path, ranks: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    try:
        with _open(path) as stream:
            return _take_header(stream, path, ranks)
    except _DAMAGE as error:
        raise PoolError(f"Cannot read {path}: {error}\nExpected an idx file, plain or .gz.") from error


def _take_header(stream: BinaryIO, path: Path, ranks: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Read the header and leave the stream at the first item. Return N and the shape of an item."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _UNSIGNED_BYTE or magic[3] not in ranks:
        raise PoolError(
            f"{path} is no idx file of {' or '.join(map(str, ranks))} dimensions of unsigned bytes "
            f"(it starts with {magic.hex() or 'nothing'}).\nExpected MNIST-style images; name the images as SOURCE."
        )
    raw = stream.read(4 * magic[3])
    if len(raw) < 4 * magic[3]:
        raise PoolError(f"{path} is cut short within its header.\nFetch it again.")
    sizes = tuple(int(size) for size in np.frombuffer(raw, dtype=">u4"))
    return sizes[0], sizes[1:]


def _read_codes(path: Path, count: int) -> npt.NDArray[np.uint8]:
    found, _ = _read_header(path, ranks=(1,))
    if found != count:
        raise PoolError(f"{path} holds {found} labels for {count} images.\nExpected one for each; name the right file.")
    with _open(path) as stream:
        _take_header(stream, path, ranks=(1,))
        raw = _read_exactly(stream, count, path)
        _check_end(stream, path)
    return np.frombuffer(raw, dtype=np.uint8)


def _read_images(
    path: Path, count: int, shape: tuple[int, ...], codes: npt.NDArray[np.uint8] | None
) -> Iterator[Record | Refused]:
    name = path.name.removesuffix(".gz")
    size = math.prod(shape)
    with _open(path) as stream:
        _take_header(stream, path, ranks=(3, 4))
        for row in range(count):
            pixels = np.frombuffer(_read_exactly(stream, size, path), dtype=np.uint8).reshape(shape)
            yield Record(encode_png(pixels), f"{name}/{row:06d}.png", None if codes is None else int(codes[row]))
        _check_end(stream, path)


def _read_exactly(stream: BinaryIO, size: int, path: Path) -> bytes:
    """Read `size` bytes piece by piece, so that a header that lies costs no more memory than the file holds."""
    data = bytearray()
    while len(data) < size:
        piece = _read_piece(stream, min(size - len(data), _PIECE_BYTES), path)
        if not piece:
            raise PoolError(f"{path} is cut short: it ends before its last item.\nFetch it again.")
        data += piece
    return bytes(data)


def _check_end(stream: BinaryIO, path: Path) -> None:
    """Refuse bytes after the last item. Only a read at the end makes gzip compare its checksum."""
    if _read_piece(stream, 1, path):
        raise PoolError(f"{path} goes on after its last item.\nExpected as many items as its header says.")


def _read_piece(stream: BinaryIO, size: int, path: Path) -> bytes:
    try:
        return stream.read(size)
    except _DAMAGE as error:
        raise PoolError(f"{path} is damaged: {error}\nFetch it again.") from error

"""Read images from a numpy array: .npy, or .npz with labels beside; never unpickles."""

import lzma
import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from distal.data.digits import encode_png
from distal.data.formats.record import MAX_PIXELS, Record, Records, Refused
from distal.errors import PoolError

IMAGE_NAMES = ("X", "x", "images", "image", "data", "x_train", "X_train", "train_images", "arr_0")
LABEL_NAMES = ("y", "Y", "labels", "label", "target", "targets", "y_train", "Y_train", "train_labels", "arr_1")
# What zipfile and numpy raise on damage. RuntimeError: an encrypted member, an unknown method, too deep a header.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
    SyntaxError,
)
_MOST_NAME_BYTES = 4096  # of a string label
_LAYOUTS = "[N, H, W], [N, H, W, C] or [N, C, H, W] with 1, 3 or 4 channels"


def read_array(source: Path, labels: Path | None) -> Records:
    """Open an array of images, uint8 or other integers in 0..255, bool, or float in [0, 1]; rows keep their order.

    X is [N, H, W], [N, H, W, C] or [N, C, H, W]; where both fit, the last axis is the channels. y, int or string [N],
    is optional: in the .npz, or the .npy file `labels`. Rows are read one after the other, so that an array larger
    than memory passes. Rows with NaN or infinity are left out and counted. Raises PoolError for anything else.
    """
    array, key = _open_images(source)
    codes, classes = _read_labels(source, labels, key, array.shape[0])
    return Records(classes, _read_rows(array, source.stem, codes))


class _Rows:
    """Give the rows of a .npy member in order, holding one; `shape` and `dtype` as its header states them."""

    def __init__(self, path: Path, member: str | None) -> None:
        self._path = path
        self._member = member
        with self._open() as stream:
            self.shape, self.fortran, self.dtype = _read_npy_header(stream, path)

    def _open(self) -> AbstractContextManager[IO[bytes]]:
        try:
            return self._path.open("rb") if self._member is None else zipfile.ZipFile(self._path).open(self._member)
        except _DAMAGE as error:
            raise PoolError(
                f"Cannot read {self._path}: {str(error)[:150]}\nWrite it with numpy.save or numpy.savez."
            ) from error

    def __iter__(self) -> Iterator[npt.NDArray[np.generic]]:
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with self._open() as stream:
            _read_npy_header(stream, self._path)
            for row in range(self.shape[0]):
                try:
                    raw = stream.read(size)
                except _DAMAGE as error:
                    raise PoolError(f"{self._path} is damaged at row {row}: {error}\nWrite it again.") from error
                if len(raw) < size:
                    raise PoolError(f"{self._path} is cut short: it ends within row {row}.\nWrite it again.")
                yield np.frombuffer(raw, dtype=self.dtype).reshape(self.shape[1:])


def _read_npy_header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except _DAMAGE as error:
        raise PoolError(
            f"{path} holds no readable numpy array: {str(error)[:150]}\nWrite it with numpy.save."
        ) from error
    if dtype.hasobject:
        raise PoolError(f"{path} holds Python objects, which are pickled: refused.\nSave arrays of numbers or strings.")
    return shape, fortran, dtype


def _open_images(source: Path) -> tuple[_Rows, str]:
    key = _member(source, IMAGE_NAMES, "images") if source.suffix == ".npz" else None
    array = _Rows(source, None if key is None else f"{key}.npy")
    described = f"{source}{f' [{key}]' if key else ''} is {array.dtype} {list(array.shape)}"
    if array.dtype.kind not in "uibf" or _channel_axis(array.shape) is None or min(array.shape[1:]) < 1:
        raise PoolError(f"{described}.\nExpected numbers of shape {_LAYOUTS}.")
    if array.fortran and array.shape[0] > 1:
        raise PoolError(f"{described} in Fortran order, whose rows cannot be read one by one.\nSave it in C order.")
    if math.prod(array.shape[1:]) > 4 * MAX_PIXELS:
        raise PoolError(f"{described}.\nExpected images of at most {MAX_PIXELS:,} pixels.")
    if array.shape[0] < 1:
        raise PoolError(f"{described}: it holds no image.\nExpected at least one row.")
    return array, key or ""


def _member(source: Path, names: Sequence[str], what: str) -> str:
    try:
        with zipfile.ZipFile(source) as archive:
            held = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except _DAMAGE as error:
        raise PoolError(f"{source} is no readable .npz file: {error}\nWrite it with numpy.savez.") from error
    found = next((name for name in names if name in held), None)
    if found is None and what == "images" and len(held) == 1:
        found = held[0]
    if found is None:
        raise PoolError(
            f"{source} holds no array of {what} under a known name (it holds: {', '.join(held)[:200] or 'nothing'}).\n"
            f"Save them as one of: {', '.join(names)}."
        )
    return found


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """Return the channel axis of one image: -1 for none, 2 for [H, W, C], 0 for [C, H, W]; None for no image."""
    if len(shape) == 3:
        return -1
    if len(shape) != 4:
        return None
    return 2 if shape[3] in (1, 3, 4) else 0 if shape[1] in (1, 3, 4) else None


def _read_labels(
    source: Path, labels: Path | None, image_key: str, rows: int
) -> tuple[npt.NDArray[np.int64] | None, tuple[str, ...] | None]:
    """Return class ordinals, int64 [N] with -1 for none, and class names; None, None where there are no labels."""
    if labels is not None:
        path, member = labels, None
    elif source.suffix == ".npz":
        with zipfile.ZipFile(source) as archive:
            held = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")} - {image_key}
        key = next((name for name in LABEL_NAMES if name in held), None)
        if key is None:
            return None, None
        path, member = source, f"{key}.npy"
    else:
        return None, None
    array = _Rows(path, member)
    if len(array.shape) == 2 and array.shape[1] == 1:
        array.shape = array.shape[:1]
    if array.shape != (rows,) or array.dtype.kind not in "uibU" or array.dtype.itemsize > _MOST_NAME_BYTES:
        raise PoolError(
            f"Labels in {path} are {array.dtype} {list(array.shape)} for {rows} images.\n"
            "Expected one integer or string for each; turn one-hot rows into integers with argmax."
        )
    values = np.array([row[()] for row in array])
    if array.dtype.kind == "U":
        names, codes = np.unique(values, return_inverse=True)
        return codes.astype(np.int64), tuple(str(name) for name in names)
    codes = values.astype(np.int64)
    if codes.min() < -1 or codes.max() > 65535:
        raise PoolError(
            f"Labels in {path} range from {codes.min()} to {codes.max()}.\n"
            "Expected class ordinals from 0 on, -1 for none."
        )
    return codes, tuple(str(code) for code in range(max(1, int(codes.max()) + 1)))


def _read_rows(array: _Rows, name: str, codes: npt.NDArray[np.int64] | None) -> Iterator[Record | Refused]:
    axis = _channel_axis(array.shape)
    for row, values in enumerate(array):
        path = f"{name}/{row:07d}.png"
        if array.dtype.kind == "f" and not np.isfinite(values.astype(np.float64)).all():
            yield Refused(path, "holds values that are not finite (NaN or infinite)")
            continue
        pixels = _to_bytes(values, path)
        if axis == 0:
            pixels = pixels.transpose(1, 2, 0)
        if axis != -1 and pixels.shape[2] == 1:
            pixels = pixels[:, :, 0]
        label = None if codes is None or codes[row] < 0 else int(codes[row])
        yield Record(encode_png(np.ascontiguousarray(pixels)), path, label)


def _to_bytes(values: npt.NDArray[np.generic], path: str) -> npt.NDArray[np.uint8]:
    """Turn one row into uint8: floats in [0, 1] and bools over the full range, integers as they are."""
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False)
    numbers = values.astype(np.float64)
    unit = values.dtype.kind in "fb"
    low, high, most = float(numbers.min()), float(numbers.max()), 1.0 if unit else 255.0
    if low < 0.0 or high > most:
        raise PoolError(
            f"{path} holds values from {low:g} to {high:g} as {values.dtype}.\n"
            f"Expected {'floats in [0, 1]' if unit else 'integers in 0..255'}: scale the array, or save it as uint8."
        )
    return np.rint(numbers * (255.0 if unit else 1.0)).astype(np.uint8)

"""Give scikit-learn's embedded digits as a pool: 1,797 real 8 x 8 scans (Alpaydin, Kaynak 1998), no download."""

import hashlib
import io
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from distal.data.cache import cache_lock
from distal.data.growth import FileFacts, Table
from distal.data.writer import PoolWriter
from distal.errors import PoolError
from distal.streams import stream

DIGITS = "digits"
CLASSES = tuple(str(digit) for digit in range(10))
# The rows are the same on every machine, whatever library version wrote the file: so is the fingerprint.
FINGERPRINT_TEXT = "scikit-learn digits, shuffled, order 1"


def digits_file(folder: Path) -> Path:
    """Return the Parquet file of the digits in the cache folder, written on the first call.

    Raises StorageError where the folder cannot be written.
    """
    path = folder / "pools" / "digits-1.parquet"
    if not path.exists():
        with cache_lock(path.with_name(".lock")):
            if not path.exists():
                with PoolWriter(path, CLASSES) as writer:
                    for data, name, label in digit_images():
                        writer.add(data, name, label)
    return path


def as_digits(table: Table) -> Table:
    """Return the table of the embedded digits as it is on every machine, whatever wrote the file."""
    fingerprint = hashlib.sha256(FINGERPRINT_TEXT.encode()).hexdigest()
    modified_ns = table.files[0].modified_ns
    return replace(table, fingerprint=fingerprint, files=(FileFacts(DIGITS, 0, fingerprint, modified_ns),))


def digit_images() -> list[tuple[bytes, str, int]]:
    """Return (PNG bytes, name, label) of every digit, shuffled once so that any prefix is a fair sample."""
    pixels, labels = load_digits()
    order = stream(0, "digits").permutation(len(labels))
    return [(encode_png(pixels[row]), f"digits/{row:04d}.png", int(labels[row])) for row in order]


def load_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the scans, uint8 [1797, 8, 8] with 0..16 spread over 0..255, and their labels, int64 [1797]."""
    found = find_spec("sklearn")  # its file is read as it lies there: importing scikit-learn takes seconds
    if found is None or found.origin is None:
        raise PoolError(
            "the embedded digits come with scikit-learn, which is not installed.\nInstall scikit-learn>=1.4."
        )
    rows = np.loadtxt(Path(found.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    scans = rows[:, :-1].reshape(-1, 8, 8)
    return np.rint(scans * (255.0 / 16.0)).astype(np.uint8), rows[:, -1].astype(np.int64)


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode uint8 [H, W] or [H, W, 3 or 4] as PNG, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()

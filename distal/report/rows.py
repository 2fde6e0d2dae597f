"""Name the rows of a grid, and draw the run's real images as the generated ones are drawn."""

import unicodedata
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from distal.report.grid import Pixels, missing_glyphs, sample_grid

REAL = "real.png"
SAMPLES_PER_CLASS = 10


def row_names(classes: Sequence[str], labels: Sequence[int] | None = None) -> list[str]:
    """Return what stands before the row of each class: its name, or #7 where the grid's font cannot show that.

    labels: the rows' classes; None is one row a class, in order.
    """
    chosen = range(len(classes)) if labels is None else labels
    return [classes[label] if _legible(classes[label]) else f"#{label}" for label in chosen]


def legend(classes: Sequence[str]) -> str:
    """Say which class a row's number stands for, in a sentence for the page; empty without any."""
    numbered = [f"{drawn} is {name}" for drawn, name in zip(row_names(classes), classes, strict=True) if drawn != name]
    return f"In the pictures {', '.join(numbered)}." if numbered else ""


def real_grid(
    pixels: Callable[[npt.NDArray[np.int64]], Pixels], labels: npt.NDArray[np.int64], classes: Sequence[str]
) -> bytes:
    """Draw held-out images as PNG, one row a class like a round's samples, or unnamed rows where they have no labels.

    pixels: gives uint8 [n, C, H, W] for positions. labels: int64 [n], -1 where missing. A class's images are spread
    evenly over its positions, since neighbours in a pool may be alike; where it has fewer, cells stay white.
    """
    of_class = [np.flatnonzero(labels == label) for label in range(len(classes))]
    if not any(map(len, of_class)):
        chosen = _spread(np.arange(len(labels)), SAMPLES_PER_CLASS * len(classes))
        return sample_grid(pixels(chosen), columns=SAMPLES_PER_CLASS)
    rows = [_spread(positions, SAMPLES_PER_CLASS) for positions in of_class]
    images = pixels(np.concatenate(rows))
    sheet = np.full((len(classes) * SAMPLES_PER_CLASS, *images.shape[1:]), 255, np.uint8)
    starts = np.arange(len(classes)) * SAMPLES_PER_CLASS
    sheet[np.concatenate([start + np.arange(len(row)) for start, row in zip(starts, rows, strict=True)])] = images
    return sample_grid(sheet, columns=SAMPLES_PER_CLASS, row_names=row_names(classes))


def is_picture(png: bytes) -> bool:
    """Say whether a file's bytes are a whole picture."""
    try:
        Image.open(BytesIO(png)).load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # what Pillow raises on damage
        return False
    return True


def _spread(positions: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    if len(positions) <= most:
        return positions
    return positions[np.linspace(0, len(positions) - 1, most).astype(np.int64)]


def _legible(name: str) -> bool:
    # Letters of scripts that run from right to left are in the font, but it is used without their joining and order.
    turned = any(unicodedata.bidirectional(character) in ("R", "AL") for character in name)
    return not turned and not missing_glyphs(name)

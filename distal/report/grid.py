"""Draw images into PNG: the sample grid of a round, and single thumbnails.

Small images are enlarged by whole factors without smoothing, so that each pixel of an 8 x 8 digit stays a crisp square.
The same input gives the same bytes: no time stamp, no metadata, a fixed compression level, a font that comes with us.
"""

import base64
import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]

_CELL = 48  # wished side of a cell in pixels, where the caller leaves the scale to us
_GAP = 2
_MARGIN = 6
_SMALLEST_NAMED_CELL = 12  # below this side a row's name would be taller than the row
_WIDEST_NAME = 160


def sample_grid(
    images: Pixels, columns: int, scale: int | None = None, row_names: Sequence[str] | None = None
) -> bytes:
    """Draw images row by row into one PNG, with the rows' names at the left where there is space.

    images: uint8 [n, C, H, W] with C 1 (grey) or 3 (RGB), filled into rows of `columns`; the last row may be short.
    scale: whole factor of enlargement; None makes cells of about 48 pixels.
    row_names: one name for each row, such as the class that the row was asked for; long names are cut.

    Returns the PNG's bytes, the same for the same input. Raises ValueError where the shapes do not fit.
    """
    _check(images)
    if columns < 1 or (scale is not None and scale < 1):
        raise ValueError(f"columns and scale must be at least 1; got columns={columns}, scale={scale}")
    rows = -(-len(images) // columns)
    if row_names is not None and len(row_names) != rows:
        raise ValueError(f"{len(images)} images in {columns} columns make {rows} rows; got {len(row_names)} row names")
    height, width = images.shape[2:]
    factor = scale if scale is not None else max(1, _CELL // max(height, width))
    step_y, step_x = height * factor + _GAP, width * factor + _GAP
    named = row_names is not None and height * factor >= _SMALLEST_NAMED_CELL
    font = _font(height * factor)
    names = [_fitted(name, font) for name in row_names or ()] if named else []
    gutter = max((int(font.getlength(name)) + 2 * _MARGIN for name in names), default=0)

    sheet = Image.new("RGB", (gutter + columns * step_x + _GAP, rows * step_y + _GAP), "white")
    for i, image in enumerate(images):
        cell = _picture(image).resize((width * factor, height * factor), Image.Resampling.NEAREST)
        sheet.paste(cell, (gutter + _GAP + (i % columns) * step_x, _GAP + (i // columns) * step_y))
    pen = ImageDraw.Draw(sheet)
    for i, name in enumerate(names):
        middle = _GAP + i * step_y + (height * factor) // 2
        pen.text((gutter - _MARGIN, middle), name, fill="#333333", font=font, anchor="rm")
    return _png(sheet if images.shape[1] == 3 else sheet.convert("L"))


def missing_glyphs(text: str) -> set[str]:
    """Return the visible characters for which the font of the grids has no picture of its own, but a box."""
    font = _font(_CELL)
    box = bytes(font.getmask("\uffff"))
    return {c for c in set("".join(text.split())) if bytes(font.getmask(c)) == box}


def data_uri(png: bytes) -> str:
    """Return PNG bytes as a data: URI that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def thumbnail(image: Pixels) -> str:
    """Return one image, uint8 [C, H, W], as a data: URI at its own size; the page enlarges it without smoothing."""
    _check(image[None])
    return data_uri(_png(_picture(image)))


def _check(images: Pixels) -> None:
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8 or 0 in images.shape:
        raise ValueError(
            f"expected uint8 images [n, C, H, W] with C 1 or 3 and none of them 0; got {images.dtype} {images.shape}"
        )


def _picture(image: Pixels) -> Image.Image:
    if image.shape[0] == 1:
        return Image.fromarray(np.ascontiguousarray(image[0]))
    return Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="png", compress_level=9)
    return buffer.getvalue()


def _font(cell: int) -> ImageFont.FreeTypeFont:
    # Matplotlib brings DejaVu Sans; a font of the machine would make the bytes depend on the machine. It is found, not
    # imported: that takes 0.4 s, in every training worker.
    matplotlib = find_spec("matplotlib")
    assert matplotlib is not None
    assert matplotlib.origin is not None
    path = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(path, size=max(8, min(14, cell // 2)), layout_engine=ImageFont.Layout.BASIC)


def _fitted(name: str, font: ImageFont.FreeTypeFont) -> str:
    line = " ".join(name.split())
    if font.getlength(line) <= _WIDEST_NAME:
        return line
    while line and font.getlength(line + "…") > _WIDEST_NAME:
        line = line[:-1]
    return line + "…"

"""Show people the images as they were recorded, not as small as the networks see them."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from distal.data.decode import UndecodableError, open_header
from distal.oracle.protocol import Images, RowIds

_CHUNK = 16
"""Rows whose encoded bytes are in memory at a time."""


def original_images(
    images: Images, row_ids: RowIds, max_pixels: int
) -> Iterator[tuple[int, npt.NDArray[np.uint8], str]]:
    """Yield row id, pixels and path of each row.

    Pixels are uint8 [H, W] for grey images and [H, W, 3] for others, in the original size, upright; more than 8 bits
    are stretched from the least to the greatest value. An original that cannot be shown so gives way to the pool's
    decoded pixels.
    """
    for start in range(0, len(row_ids), _CHUNK):
        some = row_ids[start : start + _CHUNK]
        for row_id, (data, path) in zip(some, images.originals(some), strict=True):
            try:
                pixels = _decode(data, max_pixels)
            except UndecodableError:
                chw = images.pixels(np.array([row_id], dtype=np.int64))[0]
                pixels = chw[0] if len(chw) == 1 else np.ascontiguousarray(chw.transpose(1, 2, 0))
            yield int(row_id), pixels, path


def _decode(data: bytes, max_pixels: int) -> npt.NDArray[np.uint8]:
    image = open_header(data, max_pixels)
    try:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            return _stretch(np.asarray(image).astype(np.float64))
        if image.has_transparency_data:
            upper = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", upper.size, (0, 0, 0, 255)), upper)
        return np.array(image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB"))
    except UndecodableError:
        raise
    except Exception as error:  # Pillow raises whatever a malformed file leads its plugins into
        raise UndecodableError(str(error)) from error


def _stretch(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    if not np.isfinite(values).all():
        raise UndecodableError("holds values that are not finite")
    low, high = values.min(), values.max()
    stretched: npt.NDArray[np.uint8] = np.rint((values - low) * (255.0 / max(high - low, 1e-300))).astype(np.uint8)
    return stretched

"""Turn the bytes of one encoded image into uint8 [C, H, W] of the pool's size, or say why that cannot be done."""

import io
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

# Formats that Pillow decodes by itself. EPS is left out on purpose: it would start Ghostscript on foreign input.
_FORMATS = ("PNG", "JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "GIF", "BMP", "DIB", "TIFF", "PPM", "TGA", "ICO", "PCX")
_DEEP = ("I", "F")
_STRIP_PIXELS = 2**20
# Bicubic with antialiasing, as the Frechet distance wants it (Parmar, Zhang, Zhu 2022).
_FILTER = Image.Resampling.BICUBIC


class UndecodableError(Exception):
    """Say in one line why an image is skipped; never leaves distal.data."""


@dataclass(frozen=True)
class DecodeSpec:
    """State everything that decides the decoded pixels.

    image_size: side in pixels. channels: 1 or 3. fit, normalize: as in PoolConfig. max_pixels: most pixels that an
    image may declare.
    """

    image_size: int
    channels: int
    fit: Literal["resize", "crop", "pad"]
    normalize: Literal["none", "autocontrast"]
    max_pixels: int


def decode(data: bytes | None, spec: DecodeSpec) -> npt.NDArray[np.uint8]:
    """Decode one image into uint8 [C, H, W].

    Frame one of several; upright by its EXIF orientation; more than 8 bits scaled to 8; transparency over black. An
    image that already has the asked size is not resampled. Raises UndecodableError.
    """
    image = open_header(data, spec.max_pixels)
    side = spec.image_size
    try:
        # JPEG decodes at a half, quarter or eighth directly; twice the target is left for the resampling below.
        image.draft(None, (2 * side, 2 * side))
        image.load()
        if "exif" in image.info:
            image = ImageOps.exif_transpose(image)
        image = _eight_bits(image, stretch=spec.normalize == "autocontrast")
        mode = "L" if spec.channels == 1 else "RGB"
        image = image if image.mode == mode else image.convert(mode)
        pixels = _fit(image, spec)
    except UndecodableError:
        raise
    except Exception as error:
        raise UndecodableError(_reason("cannot be decoded", error)) from error
    return np.ascontiguousarray(pixels.reshape(side, side, spec.channels).transpose(2, 0, 1))


def open_header(data: bytes | None, max_pixels: int) -> Image.Image:
    """Read an image's header alone, and refuse it by its declared size before any pixel is decoded.

    Raises UndecodableError.
    """
    if not data:
        raise UndecodableError("holds no bytes")
    try:
        image = Image.open(io.BytesIO(data), formats=_known_formats())
    except Image.DecompressionBombError as error:
        raise UndecodableError(f"declares too many pixels: {error}"[:200]) from error
    except Exception as error:
        raise UndecodableError(_reason("is no image of a known format", error)) from error
    width, height = image.size
    if width * height > max_pixels:
        raise UndecodableError(f"declares {width} x {height} pixels, more than pool.max_pixels = {max_pixels}")
    if width == 0 or height == 0:
        raise UndecodableError(f"declares {width} x {height} pixels")
    return image


def is_grey(image: Image.Image) -> bool:
    """Return whether an opened image holds shades of grey alone, whatever its mode; decodes it."""
    if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode.startswith("I;"):
        return True
    red, green, blue = np.moveaxis(np.asarray(_over_black(image).convert("RGB")), -1, 0)
    return bool((red == green).all() and (green == blue).all())


@cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _eight_bits(image: Image.Image, stretch: bool) -> Image.Image:
    """Bring deep modes to 8 bits and lay transparency over black.

    Integers span 0..65535 (a 16-bit file), floats 0..1 or 0..255; what exceeds these is stretched from its least to
    its greatest value, as is everything deep where contrast is to be stretched anyway: 12-bit data in 16-bit files
    keeps its depth.
    """
    if image.mode not in _DEEP and not image.mode.startswith("I;"):
        return _over_black(image)
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():  # the least and the greatest of numbers with NaN among them are NaN
        raise UndecodableError("holds values that are not finite (NaN or infinite)")
    span = 65535.0 if image.mode != "F" else 1.0 if high <= 1.0 else 255.0
    start = 0.0
    if stretch or low < 0.0 or high > span:
        start, span = low, max(high - low, 1e-300)
    return Image.fromarray(_scale(values, start, 255.0 / span))


def _scale(values: npt.NDArray[np.generic], start: float, factor: float) -> npt.NDArray[np.uint8]:
    """Return (values - start) * factor, rounded: [H, W], a strip at a time, as 64-bit floats take eight times the room.

    Floats of 32 bits would be half of that, but do not hold every 32-bit integer.
    """
    scaled = np.empty(values.shape, dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // values.shape[1])
    for top in range(0, len(values), rows):
        strip = values[top : top + rows].astype(np.float64)
        scaled[top : top + rows] = np.rint((strip - start) * factor)
    return scaled


def _over_black(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    upper = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upper.size, (0, 0, 0, 255)), upper)


def _fit(image: Image.Image, spec: DecodeSpec) -> npt.NDArray[np.uint8]:
    """Make the image square and of the asked side: uint8 [side, side] or [side, side, 3]."""
    side = spec.image_size
    width, height = image.size
    if spec.fit == "pad" and width != height:
        scale = side / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = Image.fromarray(_contrast(_resize(image, inner), spec))
        square = Image.new(image.mode, (side, side))
        square.paste(small, ((side - inner[0]) // 2, (side - inner[1]) // 2))
        return np.asarray(square)
    if spec.fit == "crop" and width != height:
        edge = min(width, height)
        left, top = (width - edge) // 2, (height - edge) // 2
        image = image.crop((left, top, left + edge, top + edge))
    return _contrast(_resize(image, (side, side)), spec)


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image if image.size == size else image.resize(size, _FILTER)


def _contrast(image: Image.Image, spec: DecodeSpec) -> npt.NDArray[np.uint8]:
    """Return the pixels, stretched over all channels at once where asked: hues stay, a flat image stays as it is."""
    pixels = np.asarray(image)
    if spec.normalize == "none":
        return pixels
    low, high = int(pixels.min()), int(pixels.max())
    if low == high:
        return pixels
    stretched: npt.NDArray[np.uint8] = np.rint((pixels.astype(np.float32) - low) * (255.0 / (high - low))).astype(
        np.uint8
    )
    return stretched


def _reason(what: str, error: Exception) -> str:
    detail = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
    # Pillow puts the address of its own buffer into some messages; a reason has to be the same on every machine.
    return what if "BytesIO" in detail else f"{what}: {detail}"

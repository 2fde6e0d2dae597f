"""Give a browser the images as they were recorded: as they are where it can show them, else as PNG; read ahead."""

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from distal.data.decode import UndecodableError, open_header
from distal.oracle.originals import original_images
from distal.oracle.protocol import Images

HELD = 256 * 2**20
"""Bytes of images that are kept ready."""
TOGETHER = 32
"""Rows that are read in one go, for a file of the pool is read a row group at a time."""
SMALL = 320
"""Pixels of the longer side of an image in the grid; one of at most twice as many is sent as it is."""

_PLAIN = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


@dataclass(frozen=True)
class Shown:
    """Hold an image as it is sent, and where the pool has it from."""

    data: bytes
    media_type: str
    path: str


class ShownImages:
    """Read images of a pool before they are asked for, and keep the last ones.

    max_pixels: of an image that is opened at all; a larger one is shown as small as the networks see it.
    """

    def __init__(self, images: Images, max_pixels: int) -> None:
        self._images = images
        self._max_pixels = max_pixels
        self._kept: OrderedDict[int, Shown] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._reading = threading.Lock()  # one reader of the pool at a time
        self._ahead = ThreadPoolExecutor(1, "distal-images")

    def ahead(self, row_ids: Sequence[int]) -> None:
        """Begin to read rows that will be shown; nobody waits for it."""
        with self._lock:
            missing = [row_id for row_id in row_ids if row_id not in self._kept]
        for start in range(0, len(missing), TOGETHER):
            self._ahead.submit(self._read, missing[start : start + TOGETHER])

    def get(self, row_id: int) -> Shown:
        """Return one row's image."""
        with self._lock:
            if row_id in self._kept:
                self._kept.move_to_end(row_id)
                return self._kept[row_id]
        return self._read([row_id])[0]

    def small(self, row_id: int) -> Shown:
        """Return one row's image, small enough for a grid of many."""
        shown = self.get(row_id)
        image = open_header(shown.data, self._max_pixels)
        if max(image.size) <= 2 * SMALL:
            return shown
        image.draft(None, (SMALL, SMALL))
        image = ImageOps.exif_transpose(image)
        image.thumbnail((SMALL, SMALL))
        return Shown(*_encoded(image.convert("L" if image.mode == "L" else "RGB")), shown.path)

    def plain(self, row_id: int) -> Shown:
        """Return one row's image as PNG, for a browser that cannot show it as it is."""
        _, pixels, path = next(original_images(self._images, np.array([row_id], dtype=np.int64), self._max_pixels))
        return Shown(*_encoded(Image.fromarray(pixels)), path)

    def close(self) -> None:
        """Read no further."""
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def _read(self, row_ids: Sequence[int]) -> list[Shown]:
        with self._reading:
            with self._lock:
                missing = [row_id for row_id in row_ids if row_id not in self._kept]
            read = {}
            for row_id, (data, path) in zip(missing, self._images.originals(_ids(missing)), strict=True):
                media_type = self._plain_type(data)
                read[row_id] = Shown(data, media_type, path) if media_type else self.plain(row_id)
            with self._lock:
                for row_id, shown in read.items():
                    self._kept[row_id] = shown
                    self._bytes += len(shown.data)
                found = [self._kept.get(row_id) or read[row_id] for row_id in row_ids]
                while self._bytes > HELD and len(self._kept) > 1:
                    self._bytes -= len(self._kept.popitem(last=False)[1].data)
        return found

    def _plain_type(self, data: bytes) -> str | None:
        """Return the media type of an image that every browser shows as it is, None for any other."""
        try:
            image = open_header(data, self._max_pixels)
        except UndecodableError:
            return None
        if image.mode not in ("L", "RGB") or image.has_transparency_data or getattr(image, "n_frames", 1) > 1:
            return None
        return _PLAIN.get(str(image.format))


def _ids(row_ids: Sequence[int]) -> "np.typing.NDArray[np.int64]":
    return np.array(row_ids, dtype=np.int64)


def _encoded(image: Image.Image) -> tuple[bytes, str]:
    png = io.BytesIO()
    image.save(png, format="PNG", compress_level=1)
    return png.getvalue(), "image/png"

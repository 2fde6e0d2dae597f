"""Be the images of a run: rows of its pool, and the images that it has drawn itself to ask about them."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from distal.data.digits import encode_png
from distal.data.few import FewRows
from distal.data.labels import MISSING
from distal.data.protocol import Ids, Pixels
from distal.data.table import ImageTable
from distal.run.directory import RunDirectory
from distal.run.generated import GeneratedImages, is_generated


class RunImages:
    """Give a few images by row id to whoever shows them to people; those of the pool, decoded one by one.

    The scoring and the training of real rows do not pass here: they have the pool's own table, or its shards.
    """

    def __init__(self, images: ImageTable, run: RunDirectory) -> None:
        self._images, self._few, self._generated = images, FewRows(images), GeneratedImages(run)

    @property
    def fingerprint(self) -> str:
        """Return what tells this pool from others."""
        return self._images.fingerprint

    @property
    def has_labels(self) -> bool:
        """Return whether the pool has a label column."""
        return self._images.has_labels

    def labels(self, row_ids: Ids) -> npt.NDArray[np.int64]:
        """Return the hidden labels, int64 [n], -1 where missing; a drawn image has none."""
        made = is_generated(row_ids)
        labels = np.full(len(row_ids), MISSING, dtype=np.int64)
        labels[~made] = self._images.labels(row_ids[~made])
        return labels

    def originals(self, row_ids: Ids) -> list[tuple[bytes, str]]:
        """Return the encoded bytes and the path of each row; a drawn image is a PNG file."""
        made = is_generated(row_ids)
        of_run, of_pool = iter(self._generated.files(row_ids[made])), iter(self._images.originals(row_ids[~made]))
        return [next(of_run if one else of_pool) for one in made.tolist()]

    def pixels(self, row_ids: Ids) -> Pixels:
        """Return uint8 [n, C, H, W] in the order of the ids, int64 [n]; one that cannot be decoded is zero."""
        made = is_generated(row_ids)
        shape = (self._images.channels, self._images.image_size, self._images.image_size)
        gathered = np.empty((len(row_ids), *shape), dtype=np.uint8)
        gathered[~made] = self._few.pixels(row_ids[~made])
        if made.any():
            gathered[made] = [decode_png(data) for data, _ in self._generated.files(row_ids[made])]
        return gathered


def encode_image(pixels: Pixels) -> bytes:
    """Write uint8 [C, H, W] as PNG, without loss."""
    return encode_png(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def decode_png(data: bytes) -> Pixels:
    """Return what `encode_image` was given: no fit and no contrast of the pool is applied a second time."""
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))

"""Show a few rows to people, wherever the pool is decoded."""

import numpy as np

from distal.data.protocol import Ids, Pixels
from distal.data.table import ImageTable


class FewRows:
    """Give the images of a few rows: from what is decoded here, else decoded one by one; each is read once.

    So a page of thumbnails costs the driver's node no decoded chunk of thousands of rows around each of them.
    """

    def __init__(self, images: ImageTable) -> None:
        self._images = images
        self._seen: dict[int, Pixels] = {}

    def pixels(self, row_ids: Ids) -> Pixels:
        """Return uint8 [n, C, H, W] in the order of the ids, int64 [n]; one that cannot be decoded is zero."""
        new = np.array([i for i in row_ids.tolist() if i not in self._seen], dtype=np.int64)
        here = self._images.decoded_here(new)
        for ids, read in ((new[here], self._images.pixels), (new[~here], self._images.decode_each)):
            self._seen.update(zip(ids.tolist(), read(ids), strict=True))
        shape = (self._images.channels, self._images.image_size, self._images.image_size)
        return np.array([self._seen[i] for i in row_ids.tolist()], dtype=np.uint8).reshape(-1, *shape)

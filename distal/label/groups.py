"""Put images that look alike together, so that one decision labels many: k-means (Lloyd 1982) on frozen features."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from distal.data.generated import RunImages
from distal.data.table import ImageTable
from distal.features.rows import EmbeddedRows
from distal.pool.sight import Frozen

Ids = npt.NDArray[np.int64]
Look = Callable[[Ids], npt.NDArray[np.float32]]

TOGETHER = 12
"""Images of a group on average."""
MOST = 24
"""Images of a group at most: more do not fit on a screen."""


def grouped(rows: Ids, look: Look, seed: int) -> list[list[int]]:
    """Return the rows in groups of images that look alike, the closest of a group first, the tightest group first.

    rows: int64 [n]. look: gives what images look like, float32 [n, d].
    """
    if len(rows) <= 2:
        return [rows.tolist()] if len(rows) else []
    from sklearn.cluster import KMeans  # seconds of import that only the first groups pay

    seen = look(rows).astype(np.float64)
    seen = seen - seen.mean(0)
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    clusters = min(-(-len(rows) // TOGETHER), len(np.unique(seen, axis=0)))
    means = KMeans(clusters, n_init=1, random_state=seed % 2**32).fit(seen)
    away = np.linalg.norm(seen - means.cluster_centers_[means.labels_], axis=1)
    groups = []
    for cluster in range(clusters):
        members = np.flatnonzero(means.labels_ == cluster)
        members = members[np.argsort(away[members], kind="stable")]
        for start in range(0, len(members), MOST):
            part = members[start : start + MOST]
            groups.append((float(away[part].mean()), rows[part].tolist()))
    return [group for _, group in sorted(groups, key=lambda each: (len(each[1]) == 1, each[0]))]


def looks(images: ImageTable, shown: RunImages, network: Frozen | None) -> Look:
    """Return what gives the looks of rows: features where this machine has them already, else their pixels.

    network: the frozen network of the run, None where it has none. No feature is computed for the page's sake: that
    may take as long as the first round.
    """
    embedded = None if network is None else EmbeddedRows(images, network(torch.device("cpu")))

    def look(rows: Ids) -> npt.NDArray[np.float32]:
        if embedded is not None and all(embedded.missing(row, row + 1) == 0 for row in rows.tolist()):
            return embedded.take(rows).astype(np.float32)
        return shown.pixels(rows).reshape(len(rows), -1).astype(np.float32)

    return look

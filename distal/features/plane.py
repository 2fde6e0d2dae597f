"""Lay features out in the plane, for people to look at: near in features, near on the map.

t-SNE (van der Maaten & Hinton 2008) of a sample of the pool, from its two leading components on (Kobak & Berens 2019);
every other row is placed among its nearest rows of the sample. On magnetic tiles, classes that lie on one another in
the two components alone are patches of their own here.
"""

import numpy as np
import numpy.typing as npt

from distal.data.protocol import Ids
from distal.streams import row_uniforms

Floats = npt.NDArray[np.float32]

SAMPLE = 1500
"""Rows that t-SNE lays out: 2 s of one core."""

ITERATIONS = 500
PERPLEXITY = 30.0
NEIGHBOURS = 5
FEWEST = 8
"""Rows below which their two leading components say it all."""

_ROWS = 1024
_NEAREST = 1e-6


def sampled(row_ids: Ids, most: int = SAMPLE) -> Ids:
    """Return at most so many of the row ids, int64, ascending, chosen by their hash: the same in every run."""
    order = np.argsort(row_uniforms(row_ids, 0, "map"), kind="stable")
    return np.sort(row_ids[order[:most]])


def laid_out(points: Floats) -> Floats:
    """Return places float32 [n, 2] within [-1, 1] of points [n, d] whose leading components come first.

    The same points give the same places: nothing is drawn, and one thread adds up.
    """
    start = np.zeros((len(points), 2))
    start[:, : min(2, points.shape[1])] = points[:, :2]
    spread = start[:, 0].std() if len(points) else 0.0
    if len(points) < FEWEST or spread < _NEAREST:
        return _framed(start)
    # Seconds of import that only the first run over a pool pays; scikit-learn brings threadpoolctl.
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    with threadpool_limits(1):
        method = TSNE(2, init=(start / spread * 1e-4).astype(np.float32), perplexity=perplexity, max_iter=ITERATIONS)
        return _framed(method.fit_transform(points))


def placed(points: Floats, sample: Floats, places: Floats) -> Floats:
    """Return places float32 [m, 2] of points [m, d]: the mean of their nearest of the sample [n, d], n >= 1.

    Weighted by the inverse of the squared distance, so that a point of the sample itself stays in its place.
    """
    found = np.empty((len(points), 2), dtype=np.float32)
    squares = np.square(sample).sum(1)
    for first in range(0, len(points), _ROWS):
        part = points[first : first + _ROWS]
        distances = np.square(part).sum(1)[:, None] + squares - 2.0 * part @ sample.T
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
        weights = 1.0 / np.maximum(np.take_along_axis(distances, nearest, 1), _NEAREST)
        weights /= weights.sum(1, keepdims=True)
        found[first : first + _ROWS] = np.einsum("mk,mkc->mc", weights, places[nearest])
    return found


def _framed(places: npt.NDArray[np.floating]) -> Floats:
    """Centre the map and scale it to [-1, 1]; one scale for both axes, for distances are what it shows."""
    if not len(places):
        return np.zeros((0, 2), dtype=np.float32)
    places = places - (places.max(0) + places.min(0)) / 2
    return (places / max(float(np.abs(places).max()), _NEAREST)).astype(np.float32)

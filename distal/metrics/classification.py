"""Score a classifier's probabilities, class by class, for many reweightings of the images that it is tested on."""

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def class_scores(probs: npt.NDArray[np.float32], labels: Ints, weights: Doubles) -> dict[str, Doubles]:
    """Return recall, precision and F1 of each class, float64 [B, S, K] in [0, 1].

    probs: [S, n, K] of S classifiers. labels: [n]. weights: [B, n], how often an image counts. A class that no image
    is of has NaN; the precision of one that is never said is 0.
    """
    said = probs.argmax(2)
    shape = (len(weights), len(probs), probs.shape[2])
    right, found, there = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for c in range(shape[2]):
        right[..., c] = weights @ ((said == c) & (labels == c)).T.astype(np.float64)
        found[..., c] = weights @ (said == c).T.astype(np.float64)
        there[..., c] = (weights @ (labels == c).astype(np.float64))[:, None]
    there[there == 0] = np.nan
    precision = np.where(np.isnan(there), np.nan, right / np.maximum(found, 1e-12))
    return {"recall": right / there, "precision": precision, "f1": 2 * right / (found + there)}


def average_precision(probs: npt.NDArray[np.float32], labels: Ints, weights: Doubles) -> Doubles:
    """Return the area under each class's precision-recall curve as scikit-learn's average precision is, [B, S, K].

    Shapes as in `class_scores`; NaN for a class that no image is of.
    """
    areas = np.full((len(weights), len(probs), probs.shape[2]), np.nan)
    counts = np.ascontiguousarray(weights.T)
    for s, c in np.ndindex(*areas.shape[1:]):
        order = np.argsort(-probs[s, :, c], kind="stable")
        hits = np.flatnonzero(labels[order] == c)
        if len(hits):
            falling = -probs[s, order, c]
            ends = np.searchsorted(falling, falling[hits], side="right") - 1  # ties are one threshold
            said = np.cumsum(counts[order], 0)[ends]
            right = np.cumsum(counts[order[hits]], 0)
            precision = right[np.searchsorted(hits, ends, side="right") - 1] / np.maximum(said, 1e-12)
            areas[:, s, c] = (counts[order[hits]] * precision).sum(0) / right[-1]
    return areas

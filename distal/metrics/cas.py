"""The metric ``cas``: the accuracy, on held-out real images, of a classifier that saw generated ones alone.

It is the idea of the classification accuracy score (Ravuri & Vinyals 2019), which trains a network; here a logistic
regression on the extractor's features learns, in a second, and of the accuracy the mean over the classes is taken.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from distal.communicator import on_first_rank
from distal.features.logistic import fit_logistic
from distal.features.probe import UNCHOSEN, directions
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.reference import IntArray
from distal.metrics.score import Score
from distal.nets.threads import one_thread
from distal.streams import normal

AXES = 128
"""Of wider features so many leading axes are looked at, as the probe looks at the pool's."""

ITERATIONS = 4


def recalls(features: Tensor, labels: IntArray, real: Tensor, truths: IntArray) -> dict[int, float]:
    """Return the recall of each class of truths int64 [m] on real [m, F], by what learned from features [n, F].

    labels: int64 [n], asked for. Rows are seen as the probe sees them: from the real images' mean, at unit length.
    """
    mean = real.float().mean(0)
    known, y = np.unique(labels, return_inverse=True)
    with one_thread():
        seen, taught = directions(real, mean), directions(features, mean)
        if seen.shape[1] > AXES:
            axes = leading_axes(seen, AXES)
            seen, taught = seen @ axes, taught @ axes
        rows = taught.double()
        targets = one_hot(torch.from_numpy(y.astype(np.int64)), len(known)).to(rows)
        w = fit_logistic(rows, targets, rows.new_ones(len(rows)), UNCHOSEN, tolerance=1e-5)
        logits = seen.double() @ w[:-1] + w[-1]
    right = known[logits.argmax(1).cpu().numpy()] == truths
    return {int(c): float(right[truths == c].mean()) for c in np.unique(truths)}


def leading_axes(x: Tensor, count: int) -> Tensor:
    """Return about the leading principal axes of rows [m, F], orthonormal [F, count], by subspace iteration."""
    axes = normal((x.shape[1], count), 0, "axes").to(x)
    for _ in range(ITERATIONS):
        axes = torch.linalg.qr(x.T @ (x @ axes)).Q
    return axes


def cas_scores(e: Evaluation) -> list[Score]:
    """Return the mean over the held-out classes, then each class's; at most KERNEL_ROWS generated images teach."""
    name = CAS.score_name(e.extractor.name)
    note = e.generated.broken_note
    found: dict[int, float] = {}
    if note is None:
        rows, known = e.generated.kernel_rows(), np.flatnonzero(e.split.labels >= 0)
        labels = np.arange(len(rows)) % len(e.split.class_names)
        real, truths = e.reference.features[torch.from_numpy(known)], e.split.labels[known]
        found = on_first_rank(e.comm, lambda: recalls(rows, labels, real, truths))
        if e.extractor.name == "pool-cnn":
            note = "too good: these features were learned from the labels of the same held-out images"
    overall = e.score(name, float(np.mean(list(found.values()))) if found else None, note)
    return [overall, *(e.score(f"{name}_class", value, None, label) for label, value in found.items())]


CAS = Metric(
    "cas",
    "Accuracy after generated images alone",
    better="higher",
    function=cas_scores,
    needs=frozenset({"labels"}),
    share=True,
    of_features=True,
)

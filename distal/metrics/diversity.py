"""The metric ``diversity``: how far apart a class's generated images are, beside its real ones: 1 is as far.

The mean squared distance of two images of a sample is twice its variance, so sums and squares, which add over ranks,
are all that it takes. Where a generator draws a class the same way again and again it is near 0; where it draws noise
it may be above 1, and a few distant images repeated hide from it, so read it beside coverage.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from distal.communicator import Communicator
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.reference import IntArray
from distal.metrics.score import Score


def class_variances(features: Tensor, labels: IntArray, classes: int, shift: Tensor, comm: Communicator) -> Tensor:
    """Return the variance of each class's features, summed over the features, float64 [K]; NaN for fewer than two.

    features: this rank's [n, F]. labels: int64 [n]. shift: [F], near the mean, so that little is lost to cancellation.
    """
    x = features.double() - shift.double()
    member = one_hot(torch.from_numpy(labels), classes).to(x)
    count, total, squares = member.sum(0), member.T @ x, member.T @ x.square().sum(1)
    comm.sum_([count, total, squares])
    variance = (squares - total.square().sum(1) / count.clamp(min=1)) / (count - 1).clamp(min=1)
    return torch.where(count >= 2, variance.clamp(min=0), torch.nan)


def diversity_scores(e: Evaluation) -> list[Score]:
    """Return the mean over the classes, each class's, and the least of them with its class in the note."""
    name = DIVERSITY.score_name(e.extractor.name)
    names, generated = e.split.class_names, e.generated
    made = class_variances(generated.features, generated.labels, len(names), e.reference.gaussian.mean, e.comm).tolist()
    scores, known = [], []
    for label in range(len(names)):
        real = e.reference.by_class.get(label)
        spread = 0.0 if real is None else float(real.half.square().sum())
        value, note = None, generated.broken_note
        if note is None and (spread <= 0 or np.isnan(made[label])):
            note = "two held-out and two generated images of the class are not there, or the real ones are all alike"
        elif note is None:
            value = made[label] / spread
            known.append((value, names[label]))
        scores.append(e.score(f"{name}_class", value, note, label))
    left_out = None if len(known) == len(names) else f"{len(names) - len(known)} of {len(names)} classes have none"
    mean = float(np.mean([value for value, _ in known])) if known else None
    least, which = min(known, default=(None, None))
    worst = "; ".join(text for text in (f"least diverse class: {which}" if known else None, left_out) if text)
    return [e.score(name, mean, left_out), *scores, e.score(f"{name}_class_worst", least, worst or None)]


DIVERSITY = Metric(
    "diversity",
    "Diversity within a class",
    better="higher",
    function=diversity_scores,
    needs=frozenset({"labels"}),
    of_features=True,
    summaries=("_class_worst",),
)

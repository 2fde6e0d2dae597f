"""The metric ``membership``: how well D's word tells training images from held-out ones; 0.5 is chance.

The LOGAN attack (Hayes et al. 2019, section 4): whoever has D ranks images by its logit, for a D that learns by heart
is surest of what it has seen. The area under the ROC curve is the chance that a training image is ranked above one held
out. Where the held-out images are of another source (`evaluate.path`), that difference is measured with it. It bounds
this attack, not what a better one would find.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from distal.data.protocol import Ids, Rows
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score
from distal.metrics.statistics import BATCH
from distal.streams import stream
from distal.train.rows import part

Doubles = npt.NDArray[np.float64]

SAMPLE = 2000
"""Training images and held-out ones that are ranked, at most: a standard error of 0.009."""

Z = 1.96
"""Standard normal quantile of a 95% interval."""


def auc(members: Doubles, others: Doubles) -> tuple[float, float]:
    """Return the area under the ROC curve and its standard error, NaN with fewer than two of either.

    members, others: scores [m] and [n], higher is taken for a member; ties count half. The error is DeLong's (1988,
    eqs. 4 to 6), from mid-ranks as Sun and Xu 2014 have it (section III).
    """
    m, n = len(members), len(others)
    both = _mid_ranks(np.concatenate([members, others]))
    above = (both[:m] - _mid_ranks(members)) / n  # share of the others below each member: V_10
    below = 1.0 - (both[m:] - _mid_ranks(others)) / m  # share of the members above each other: V_01
    variance = above.var(ddof=1) / m + below.var(ddof=1) / n if min(m, n) > 1 else np.nan
    return float(above.mean()), float(np.sqrt(variance))


def _mid_ranks(values: Doubles) -> Doubles:
    """Return ranks from 1, equal values sharing the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Doubles = (np.cumsum(counts) - (counts - 1) / 2)[which]
    return ranks


def membership_scores(e: Evaluation) -> list[Score]:
    """Return the score of a sample of all training images, then that of the labeled ones among them."""
    assert e.head is not None
    assert e.training is not None
    images, labeled = e.training.images, np.unique(e.training.labeled_ids)[:SAMPLE]
    sample = np.unique(e.training.drawn(stream(0, "membership"), SAMPLE))
    held_out = e.split.row_ids[np.linspace(0, len(e.split) - 1, min(SAMPLE, len(e.split))).astype(np.int64)]
    others = _realism(e, e.split.rows, held_out)
    members = _realism(e, images, sample), _realism(e, images, labeled)
    return [_score(e, name, others, own) for name, own in zip(MEMBERSHIP.names(""), members, strict=True)]


def _realism(e: Evaluation, rows: Rows, ids: Ids) -> Doubles | None:
    """Return D's logits of these rows, of which each rank looks at a part; None where the model gives none."""
    assert e.head is not None
    mine = ids[part(len(ids), e.comm.rank, e.comm.size)]
    found = []
    for start in range(0, len(mine), BATCH):
        seen = e.head(torch.from_numpy(np.array(rows.pixels(mine[start : start + BATCH]))).to(e.comm.device))
        found.append(seen["realism"].double().cpu().numpy() if "realism" in seen else None)
    every = [logits for one in e.comm.gather(found) for logits in one]
    return None if any(logits is None for logits in every) else np.concatenate([np.zeros(0), *every])


def _score(e: Evaluation, name: str, others: Doubles | None, members: Doubles | None) -> Score:
    if others is None or members is None:
        return Score(name, None, "head", e.split.key, 0, len(e.split), None, "the model has no discriminator")
    score = Score(name, None, "head", e.split.key, len(members), len(others))
    if min(len(members), len(others)) < 2:
        return replace(score, note=f"{len(members)} training and {len(others)} held-out images: it takes 2 of both")
    if not (np.isfinite(members).all() and np.isfinite(others).all()):
        return replace(score, note="the discriminator's logits are not finite")
    value, error = auc(members, others)
    note = f"95%: {max(0.0, value - Z * error):.3f} to {min(1.0, value + Z * error):.3f}; 0.5 tells nothing"
    return replace(score, value=value, error=error, note=note)


MEMBERSHIP = Metric(
    "membership",
    "Training images told by D",
    better="lower",
    function=membership_scores,
    needs=frozenset({"head", "training"}),
    summaries=("_labeled",),
)

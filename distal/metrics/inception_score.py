"""The metric ``inception_score``: how sure and how varied the judge finds the classes of generated images.

Salimans et al. 2016, section 4: exp of the mean of KL(p(y|x) || p(y)), here over all images at once. The judge stands
for Inception and the run's classes for ImageNet's, so it lies between 1 and the number of classes, and compares only
within one pool. It says nothing of variety within a class.
"""

import torch
from torch import Tensor

from distal.communicator import Communicator
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def inception_score(logits: Tensor, comm: Communicator) -> float:
    """Return exp(H(y) - H(y|x)) of this rank's logits [n, K], over all ranks; at least one row in all."""
    log_p = logits.double().log_softmax(1)
    p = log_p.exp()
    count, total, negentropy = log_p.new_tensor([len(p)]), p.sum(0), (p * log_p).sum()[None]
    comm.sum_([count, total, negentropy])
    marginal = total / count
    kl = negentropy[0] / count[0] - torch.special.xlogy(marginal, marginal).sum()
    return float(kl.exp())


def judged_scores(e: Evaluation) -> list[Score]:
    """Return the score of all generated images."""
    assert e.judge is not None
    assert e.generated.logits is not None
    value, by = inception_score(e.generated.logits, e.comm), e.judge.extractor
    return [Score("inception_score", value, by.name, by.hash, e.generated.samples, len(e.split), None, by.note)]


INCEPTION_SCORE = Metric(
    "inception_score",
    "Inception score by the judge",
    better="higher",
    function=judged_scores,
    needs=frozenset({"judge", "labels"}),
)

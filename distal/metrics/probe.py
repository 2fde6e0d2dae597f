"""The metric ``probe_accuracy``: how often the classifier on frozen features is right on the held-out images."""

import numpy as np
import torch

from distal.features.calibration import expected_calibration_error
from distal.metrics.metric import Evaluation, Floats, Metric
from distal.metrics.reference import ReferenceSplit
from distal.metrics.score import Score


def scores_of(probe: Floats, split: ReferenceSplit) -> list[Score]:
    """Return the probe's accuracy, its mean recall over the classes present, and its expected calibration error.

    probe: class probabilities of the held-out images, float32 [n, K]. Without labels there is nothing to say.
    """
    known = split.labels >= 0
    probs, labels = probe[known], split.labels[known]
    if not len(labels):
        return []
    right = probs.argmax(1) == labels
    recalls = [right[labels == label].mean() for label in np.unique(labels)]
    values = {
        "probe_accuracy": right.mean(),
        "probe_accuracy_balanced": np.mean(recalls),
        "probe_accuracy_calibration": expected_calibration_error(torch.from_numpy(probs), torch.from_numpy(labels)),
    }
    n = len(labels)
    return [Score(name, float(value), "probe", split.key, n, n) for name, value in values.items()]


def probe_scores(e: Evaluation) -> list[Score]:
    """Return the scores of a round's probe."""
    assert e.probe is not None
    return scores_of(e.probe, e.split)


PROBE = Metric(
    "probe_accuracy",
    "Accuracy of the probe",
    better="higher",
    function=probe_scores,
    needs=frozenset({"probe", "labels"}),
    share=True,
    summaries=("_balanced",),
)

"""The metric ``probe_accuracy``: how often the classifier on frozen features is right on the held-out images."""

import numpy as np
import torch

from distal.features.calibration import expected_calibration_error
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def probe_scores(e: Evaluation) -> list[Score]:
    """Return the probe's accuracy, its mean recall over the classes present, and its expected calibration error."""
    assert e.probe is not None
    known = e.split.labels >= 0
    probs, labels = e.probe[known], e.split.labels[known]
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
    return [Score(name, float(value), "probe", e.split.key, n, n) for name, value in values.items()]


PROBE = Metric(
    "probe_accuracy",
    "Accuracy of the probe",
    better="higher",
    function=probe_scores,
    needs=frozenset({"probe", "labels"}),
    share=True,
    summaries=("_balanced",),
)

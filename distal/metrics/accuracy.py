"""The metric ``accuracy``: how often the model's classifier is right on the held-out images that carry labels."""

import numpy as np
import torch

from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score
from distal.metrics.statistics import BATCH


def accuracy_scores(e: Evaluation) -> list[Score]:
    """Return ``accuracy`` and ``accuracy_balanced`` (mean recall over the classes present) of the head.

    Pools are long-tailed: a head that always says the common class has a high accuracy and a balanced one of 1 / K.
    Values are None where the head's probabilities are not finite.
    """
    assert e.head is not None
    split, comm = e.split, e.comm
    classes = len(split.class_names)
    right, total, broken = np.zeros(classes, np.int64), np.zeros(classes, np.int64), 0
    for positions, images in split.batches(comm, BATCH):
        probs = e.head(images)["probs"]
        labels = split.labels[positions]
        if probs is None:
            continue
        broken += int((~torch.isfinite(probs).all(1)).sum())
        guesses = probs.argmax(1).cpu().numpy()
        right += np.bincount(labels[(guesses == labels) & (labels >= 0)], minlength=classes)
        total += np.bincount(labels[labels >= 0], minlength=classes)
    right, total, bad = (np.sum(x, axis=0) for x in zip(*comm.gather((right, total, broken)), strict=True))
    samples = int(total.sum())
    if samples == 0:
        return []
    present = total > 0
    values: list[float | None] = [float(right.sum() / samples), float((right[present] / total[present]).mean())]
    notes: list[str | None] = [None, None if present.all() else f"{int((~present).sum())} classes are not held out"]
    if bad:
        values, notes = [None, None], [f"the head is not finite on {int(bad)} held-out images"] * 2
    names = ("accuracy", "accuracy_balanced")
    return [
        Score(name, value, "head", split.key, samples, samples, None, note)
        for name, value, note in zip(names, values, notes, strict=True)
    ]


ACCURACY = Metric(
    "accuracy",
    "Accuracy of the head",
    better="higher",
    function=accuracy_scores,
    needs=frozenset({"head", "labels"}),
    share=True,
    summaries=("_balanced",),
)

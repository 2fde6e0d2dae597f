"""List the metrics by name, and say what a score's name means."""

import re
from collections.abc import Sequence

from distal.config import EvaluateConfig
from distal.errors import ConfigError, nearest_name
from distal.features import FEATURES
from distal.metrics.accuracy import ACCURACY
from distal.metrics.agreement import AGREEMENT
from distal.metrics.cas import CAS
from distal.metrics.cmmd import CMMD
from distal.metrics.coverage import COVERAGE
from distal.metrics.density import DENSITY
from distal.metrics.diversity import DIVERSITY
from distal.metrics.fd import FD
from distal.metrics.human import HUMAN_CLASS_ERROR, HUMAN_ERROR
from distal.metrics.inception_score import INCEPTION_SCORE
from distal.metrics.kd import KD
from distal.metrics.membership import MEMBERSHIP
from distal.metrics.metric import Metric
from distal.metrics.mind import MIND
from distal.metrics.pool_cnn import build_pool_cnn
from distal.metrics.precision import PRECISION
from distal.metrics.probe import PROBE
from distal.metrics.recall import RECALL
from distal.registry import Registry

FEATURES.add("pool-cnn", build_pool_cnn)  # the one feature network that needs what only the evaluation has

STANDARD = (FD, KD, ACCURACY, PROBE, AGREEMENT, DIVERSITY, HUMAN_ERROR, HUMAN_CLASS_ERROR)
"""Measured in every run; FD is the distance that stopping and reports follow unless they are told otherwise."""

FURTHER = (CMMD, MIND, PRECISION, RECALL, DENSITY, COVERAGE, INCEPTION_SCORE, CAS, MEMBERSHIP)
"""Measured where `evaluate.metrics` names them."""

METRICS: Registry[Metric] = Registry(
    "evaluate.metrics", "metric", "distal.metrics", {metric.name: metric for metric in (*STANDARD, *FURTHER)}, Metric
)

DISTANCE = "distance"
"""Stands for the overall Frechet distance, whatever the extractor."""

ENDINGS = {
    "_floor": ", real from real images",
    "_calibration": ", calibration error",
    "_class_mean": ", mean of classes",
    "_class_worst": ", worst class",
    "_class": ", by class",
}
"""How names of scores end that are not about all images alike, in words."""


def measured(extra: Sequence[str]) -> list[Metric]:
    """Return the metrics of a run: the standard ones, then those that `evaluate.metrics` names."""
    return list(dict.fromkeys([*STANDARD, *map(METRICS.find, extra)]))


def find_score(name: str, evaluate: EvaluateConfig, key: str) -> Metric:
    """Return the metric of a score over all images that runs with this evaluation have; DISTANCE is one of them.

    key: where the name stands, for the message.

    Raises:
        ConfigError: there is no such score, with the known ones and the nearest.
    """
    names = {name: m for m in measured(evaluate.metrics) for name in m.names(evaluate.extractor)}
    known = {DISTANCE: FD, **names}
    if name not in known:
        hint = nearest_name(name, known)
        raise ConfigError(
            f"{key}: unknown score '{name}'{'; ' + hint if hint else '.'}\nKnown: {', '.join(known)}; "
            f"evaluate.metrics adds others."
        )
    return known[name]


def metric_of(score: str) -> Metric | None:
    """Return the metric that a score of metrics.json is of; None where no installed package has it any more."""
    base = next((score.removesuffix(end) for end in ENDINGS if score.endswith(end)), score)
    # What packages add is looked through last: it takes some ms, and a report asks for a hundred titles.
    return _metric_among(sorted(METRICS), base) or _metric_among(METRICS.names(), base)


def _metric_among(names: Sequence[str], base: str) -> Metric | None:
    for name in names:
        if name not in METRICS and not base.startswith(name):
            continue  # not loaded for a look at its names
        metric = METRICS.find(name)
        of_features = metric.of_features and (base.startswith(f"{name}_") or base == metric.inception)
        if of_features or base in metric.names(""):
            return metric
    return None


def score_title(score: str) -> str:
    """Return a score's name in words: fid is FID, fd_pool-cnn is Fréchet distance (pool-cnn)."""
    metric = metric_of(score)
    if metric is None:
        return score
    for end, words in {"_balanced": ", mean of classes", "_labeled": ", labeled images", **ENDINGS}.items():
        if score.endswith(end):
            return score_title(score.removesuffix(end)) + words
    if score == metric.inception:
        return score.upper()
    extractor = score.removeprefix(f"{metric.name}_") if metric.of_features else ""
    return f"{metric.title} ({extractor})" if extractor else metric.title


def short_title(score: str) -> str:
    """Return a score's name in words without its extractor, for places that name the extractor elsewhere."""
    return re.sub(r" \([^)]*\)", "", score_title(score))


def is_share(score: str) -> bool:
    """Say whether a score is a share between 0 and 1, shown as a percentage."""
    metric = metric_of(score)
    return metric is not None and metric.share

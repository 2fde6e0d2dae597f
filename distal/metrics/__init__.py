"""Measure generated images: Frechet and kernel distances, accuracy and class agreement, by named, hashed extractors."""

from distal.metrics.evaluator import Evaluator
from distal.metrics.extractor import ExtractorRequest
from distal.metrics.frechet import Gaussian, Moments, frechet_distance, frechet_of_features
from distal.metrics.kernel import kernel_distance
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.registry import DISTANCE, METRICS, find_score
from distal.metrics.score import Score

__all__ = [
    "DISTANCE",
    "METRICS",
    "Evaluation",
    "Evaluator",
    "ExtractorRequest",
    "Gaussian",
    "Metric",
    "Moments",
    "Score",
    "find_score",
    "frechet_distance",
    "frechet_of_features",
    "kernel_distance",
]

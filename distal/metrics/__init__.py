"""Measure generated images: Frechet and kernel distances, accuracy and class agreement, by named, hashed extractors."""

from distal.metrics.evaluator import Evaluator
from distal.metrics.extractor import Extractor, ExtractorRequest
from distal.metrics.frechet import Gaussian, Moments, frechet_distance, frechet_of_features
from distal.metrics.kernel import kernel_distance
from distal.metrics.registry import EXTRACTORS, check_extractor, get_extractor
from distal.metrics.score import Score

__all__ = [
    "EXTRACTORS",
    "Evaluator",
    "Extractor",
    "ExtractorRequest",
    "Gaussian",
    "Moments",
    "Score",
    "check_extractor",
    "frechet_distance",
    "frechet_of_features",
    "get_extractor",
    "kernel_distance",
]

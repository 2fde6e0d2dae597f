"""Say what a builder of the network that the evaluation sees by may use besides."""

from dataclasses import dataclass

from distal.features import FeatureRequest
from distal.metrics.reference import ReferenceSplit


@dataclass(frozen=True, kw_only=True)
class ExtractorRequest(FeatureRequest):
    """Hold the reference as well: `pool-cnn` is trained on it."""

    split: ReferenceSplit

"""A metric that a package could add: how evenly the classes were asked of the generator."""

from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def evenness_scores(e: Evaluation) -> list[Score]:
    """Return the share of the rarest class, times the number of classes."""
    counts = e.generated.counts
    return [e.score("evenness", float(len(counts) * counts.min() / counts.sum()))]


evenness = Metric("evenness", "Evenness of the classes", better="higher", function=evenness_scores)

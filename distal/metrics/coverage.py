"""The metric ``coverage``: the share of real images with a generated one nearby (Naeem et al. 2020, section 3)."""

from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def coverage_scores(e: Evaluation) -> list[Score]:
    """Return it for at most KERNEL_ROWS images a side; their numbers move it: compare at equal ones."""
    return [
        e.among_neighbours(COVERAGE.score_name(e.extractor.name), lambda found: float(found.covered.double().mean()))
    ]


COVERAGE = Metric("coverage", "Coverage", better="higher", function=coverage_scores, share=True, of_features=True)

"""The metric ``precision``: the share of generated images among the real ones (Kynkaanniemi et al. 2019, eq. 3)."""

from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def precision_scores(e: Evaluation) -> list[Score]:
    """Return it for at most KERNEL_ROWS images a side; their numbers move it: compare at equal ones."""
    return [
        e.among_neighbours(PRECISION.score_name(e.extractor.name), lambda found: float(found.realistic.double().mean()))
    ]


PRECISION = Metric("precision", "Precision", better="higher", function=precision_scores, share=True, of_features=True)

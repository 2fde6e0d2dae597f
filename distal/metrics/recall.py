"""The metric ``recall``: the share of real images among the generated ones (Kynkaanniemi et al. 2019, eq. 4)."""

from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def recall_scores(e: Evaluation) -> list[Score]:
    """Return it for at most KERNEL_ROWS images a side; their numbers move it: compare at equal ones."""
    return [e.among_neighbours(RECALL.score_name(e.extractor.name), lambda found: float(found.found.double().mean()))]


RECALL = Metric("recall", "Recall", better="higher", function=recall_scores, share=True, of_features=True)

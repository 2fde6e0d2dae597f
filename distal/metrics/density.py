"""The metric ``density``: how many real images lie around a generated one (Naeem et al. 2020, section 3)."""

from distal.metrics.metric import Evaluation, Metric
from distal.metrics.neighbours import DENSITY_K
from distal.metrics.score import Score


def density_scores(e: Evaluation) -> list[Score]:
    """Return it for at most KERNEL_ROWS images a side: about 1 for real images, more where common ones prevail."""
    name = DENSITY.score_name(e.extractor.name)
    return [e.among_neighbours(name, lambda found: float(found.around.double().mean() / DENSITY_K))]


DENSITY = Metric("density", "Density", better="higher", function=density_scores, of_features=True)

"""The metric ``kd``: the kernel distance of all images, KID where the features are Inception's."""

from dataclasses import replace

from distal.metrics.kernel import kernel_distance
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score
from distal.metrics.statistics import KERNEL_ROWS


def kernel_scores(e: Evaluation) -> list[Score]:
    """Return the kernel distance of at most KERNEL_ROWS images a side; None where features are not finite."""
    generated, reference = e.generated, e.reference
    value: float | None = None
    if not generated.broken:
        value = kernel_distance(reference.kernel_rows, generated.kernel_rows(), e.comm, reference.within)
    score = e.score(KD.score_name(e.extractor.name), value, generated.broken_note)
    compared = min(generated.samples, KERNEL_ROWS)
    return [replace(score, samples=compared, reference_samples=len(reference.kernel_rows))]


KD = Metric("kd", "Kernel distance", better="lower", function=kernel_scores, of_features=True, inception="kid")

"""The metric ``kd``: the kernel distance of all images and of each class, KID where the features are Inception's."""

from dataclasses import replace

from distal.metrics.kernel import kernel_distance
from distal.metrics.metric import Evaluation, Metric
from distal.metrics.score import Score


def kernel_scores(e: Evaluation) -> list[Score]:
    """Return the distance of at most KERNEL_ROWS images a side, then each class's, which few images do not bias."""
    name = KD.score_name(e.extractor.name)
    overall = e.compared(name, lambda x, y: kernel_distance(x, y, e.comm, e.reference.within))
    return [overall, *(_class_score(e, f"{name}_class", c) for c in range(len(e.split.class_names)) if e.split.labeled)]


def _class_score(e: Evaluation, name: str, label: int) -> Score:
    """Return one class's distance and its error; None where two images of it are not on both sides."""
    empty = e.score(name, None, e.generated.broken_note, label)
    if e.generated.broken:
        return empty
    if min(empty.samples, empty.reference_samples) < 2:
        counted = f"{empty.reference_samples} held-out and {empty.samples} generated images of the class"
        return replace(empty, note=f"{counted}: no distance")
    x, y = e.reference.class_rows(label), e.generated.class_rows(label)
    value, error = kernel_distance(x, y, e.comm)
    return replace(empty, value=value, error=error, samples=len(y), reference_samples=len(x))


KD = Metric("kd", "Kernel distance", better="lower", function=kernel_scores, of_features=True, inception="kid")

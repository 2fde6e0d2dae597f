"""Say what a metric is: its name and title, which way is better, what it needs, and the function that measures it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from distal.communicator import Communicator
from distal.features import FeatureNetwork
from distal.metrics.kernel import Estimate
from distal.metrics.neighbours import DENSITY_K, Neighbours
from distal.metrics.pool_cnn import Judge
from distal.metrics.reference import ReferenceSplit
from distal.metrics.samples import GeneratedFeatures
from distal.metrics.score import Score
from distal.metrics.statistics import ReferenceStatistics
from distal.train.rows import TrainingRows

Need = Literal["labels", "judge", "head", "probe", "training", "people"]


Floats = npt.NDArray[np.float32]
HeadScorer = Callable[[Tensor], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Evaluation:
    """Hold what the metrics of one round may use, the same on every rank but for each rank's part of `generated`.

    split: the held-out images. reference: they in the extractor's features. generated: the scored images in the same
    features, and their classes as the judge sees them. judge: a classifier of the held-out images' labels. head: uint8
    images to a mapping with `probs` float32 [N, K], the model's own classifier. probe: float32
    [n, K], class probabilities of the held-out images by the classifier on frozen features. training: what the model
    learned from. found: what several metrics share, once one has asked for it.
    """

    split: ReferenceSplit
    extractor: FeatureNetwork
    reference: ReferenceStatistics
    generated: GeneratedFeatures
    judge: Judge | None
    head: HeadScorer | None
    probe: Floats | None
    comm: Communicator
    training: TrainingRows | None = None
    found: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def has(self, need: Need) -> bool:
        """Say whether what a metric needs is there; held-out images may be without labels, people come later."""
        if need == "people":
            return False
        if need == "labels":
            return self.split.labeled
        return {"judge": self.judge, "head": self.head, "probe": self.probe, "training": self.training}[
            need
        ] is not None

    def score(self, name: str, value: float | None, note: str | None = None, class_index: int | None = None) -> Score:
        """Return a score by the extractor's features, over all images or over those of one class."""
        generated, labels = self.generated, self.split.labels
        whole = class_index is None
        samples = generated.samples if whole else int(generated.counts[class_index])
        held_out = len(self.split) if whole else int(np.count_nonzero(labels == class_index))
        class_name = None if class_index is None else self.split.class_names[class_index]
        return Score(name, value, self.extractor.name, self.extractor.hash, samples, held_out, class_name, note)

    def compared(self, name: str, measure: Callable[[Tensor, Tensor], Estimate], least: int = 2) -> Score:
        """Return the score that compares at most KERNEL_ROWS images a side, the same on every rank.

        measure: of reference and generated features [n, F] and [m, F]. The value is None where features are not finite
        or a side has fewer than `least` images.
        """
        x, y = self._rows()
        empty = replace(self.score(name, None), samples=len(y), reference_samples=len(x))
        if self.generated.broken:
            return replace(empty, note=self.generated.broken_note)
        if min(len(x), len(y)) < least:
            return replace(empty, note=f"{len(x)} held-out and {len(y)} generated images: it takes {least} of both")
        value, error = measure(x, y)
        return replace(empty, value=value, error=error)

    def among_neighbours(self, name: str, measure: Callable[[Neighbours], float]) -> Score:
        """Return the score that is told by neighbourhoods, which are counted once for all that ask."""
        return self.compared(name, lambda x, y: Estimate(measure(self._neighbours()), None), DENSITY_K + 1)

    def _rows(self) -> tuple[Tensor, Tensor]:
        if "rows" not in self.found:  # no cached_property: before Python 3.12 its lock would part ranks in threads
            self.found["rows"] = self.reference.kernel_rows, self.generated.kernel_rows()
        rows: tuple[Tensor, Tensor] = self.found["rows"]
        return rows

    def _neighbours(self) -> Neighbours:
        if "neighbours" not in self.found:
            self.found["neighbours"] = Neighbours.count(*self._rows(), self.comm)
        neighbours: Neighbours = self.found["neighbours"]
        return neighbours


@dataclass(frozen=True)
class Metric:
    """Name one way to measure generated images.

    name: of its score in metrics.json. title: in words. better: lower or higher. function: returns the scores, the same
    on every rank; their names are `name`, or begin with it and ``_class``. It is called by all ranks together.
    needs: without one of these it is left out. share: its values lie in [0, 1] and are shown as percentages.
    of_features: it is measured in the extractor's features, so that its score's name is `<name>_<extractor>`, or
    `inception` by Inception's. summaries: ends of the names of further scores over all images.
    """

    name: str
    title: str
    better: Literal["lower", "higher"]
    function: Callable[[Evaluation], Sequence[Score]]
    needs: frozenset[Need] = field(default_factory=frozenset)
    share: bool = False
    of_features: bool = False
    inception: str | None = None
    summaries: tuple[str, ...] = ()

    def score_name(self, extractor: str) -> str:
        """Return the name of its score over all images: other features give other numbers, and other names."""
        if not self.of_features:
            return self.name
        return self.inception if self.inception and extractor == "inception" else f"{self.name}_{extractor}"

    def names(self, extractor: str) -> list[str]:
        """Return the names of its scores over all images."""
        name = self.score_name(extractor)
        return [name, *(name + end for end in self.summaries)]

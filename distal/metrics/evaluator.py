"""Score a generator and its classifier head against held-out images, data-parallel over the ranks."""

from collections.abc import Sequence
from pathlib import Path

from distal.communicator import Communicator
from distal.config import Config
from distal.errors import EvaluationError
from distal.metrics.cache import Folder, Store
from distal.metrics.extractor import Extractor, ExtractorRequest
from distal.metrics.frechet import bias_note, floor
from distal.metrics.head import HeadScorer, accuracy_scores
from distal.metrics.kernel import kernel_distance
from distal.metrics.pool_cnn import Judge, learns_labels, pool_judge
from distal.metrics.reference import Images, IntArray, ReferenceSplit
from distal.metrics.registry import get_extractor
from distal.metrics.samples import Generate, GeneratedFeatures, Listener, generate_features
from distal.metrics.score import Score
from distal.metrics.statistics import KERNEL_ROWS, ReferenceStatistics, reference_statistics

MIN_CLASS_REFERENCE = 10  # a class with fewer held-out images has no distance of its own


class Evaluator:
    """Compare generated with held-out images; every method is called by all ranks together.

    config: evaluate.* and net.latent_dim are read. images: where the reference rows are. row_ids: int64 [n], rows of
    held-out images that can be read. class_names: in label order; empty where there are none. cache: the run's storage,
    a RunDirectory or a folder, which keeps extractor and reference statistics.
    """

    def __init__(
        self, config: Config, images: Images, row_ids: IntArray, class_names: Sequence[str], cache: Store | Path
    ) -> None:
        self.config = config
        self.split = ReferenceSplit(images, row_ids, class_names, config.evaluate.reference)
        self.store: Store = Folder(cache) if isinstance(cache, Path) else cache
        self._prepared: tuple[Extractor, Judge | None, ReferenceStatistics] | None = None

    def prepare(self, comm: Communicator) -> None:
        """Build or load extractor, judge and reference statistics. Raises EvaluationError or ConfigError."""
        settings = self.config.evaluate
        request = ExtractorRequest(self.split, settings.extractor_path, self.store, comm)
        judge = pool_judge(self.split, self.store, comm) if learns_labels(self.split) else None
        if judge is not None and settings.extractor == "pool-cnn":
            extractor = judge.extractor
        else:
            extractor = get_extractor(settings.extractor)(request)
        self._prepared = (extractor, judge, reference_statistics(self.split, extractor, self.store, comm))

    def evaluate(
        self, generate: Generate, scorer: HeadScorer | None, comm: Communicator, listen: Listener | None = None
    ) -> list[Score]:
        """Return all scores, the same list on every rank; the overall Frechet distance comes first.

        generate: latents float32 [b, z] and labels int64 [b] on comm.device to uint8 [b, C, H, W]. scorer: uint8 images
        to an object with `probs` [b, K], or None to leave the head out. listen: called with images done and in all. A
        generator whose features are not finite gets distances of value None, with the reason in the note.
        """
        if self._prepared is None:
            self.prepare(comm)
        if self._prepared is None:
            raise EvaluationError("The evaluation has not been prepared.")
        extractor, judge, reference = self._prepared
        generated = generate_features(
            generate,
            extractor,
            judge,
            self.config.evaluate.samples,
            self.config.net.latent_dim,
            max(1, len(self.split.class_names)),
            comm,
            listen,
        )
        scores = self._distances(generated, extractor, reference)
        scores += self._class_distances(generated, extractor, reference)
        if scorer is not None and self.split.labeled:
            scores += accuracy_scores(scorer, self.split, comm)
        if judge is not None:
            scores += self._agreement(generated, judge)
        return scores

    def goal(self, scores: Sequence[Score]) -> Score:
        """Return the score that stopping and reports follow: the overall Frechet distance."""
        name = distance_name(self.config.evaluate.extractor)
        for score in scores:
            if score.name == name:
                return score
        raise EvaluationError(f"No score is named {name}; there are {', '.join(s.name for s in scores) or 'none'}.")

    def _distances(
        self, generated: GeneratedFeatures, extractor: Extractor, reference: ReferenceStatistics
    ) -> list[Score]:
        """Return the overall Frechet and kernel distances."""
        n, m = generated.samples, len(self.split)
        width = generated.features.shape[1]
        notes = [bias_note(n, m, width)]
        if not self.split.labeled:
            notes.append("held-out images carry no labels: accuracy, agreement and classes are left out")
        elif not learns_labels(self.split):
            notes.append("held-out labels are all of one class: agreement is left out")
        frechet: float | None = None
        kernel: float | None = None
        if generated.broken:
            notes = [_broken_note(generated)]
        else:
            frechet = generated.distance(reference.gaussian)
            rows = generated.kernel_rows()
            kernel = kernel_distance(reference.kernel_rows, rows, generated.comm, reference.within)
        note = "; ".join(text for text in notes if text) or None
        kernel_note = _broken_note(generated) if generated.broken else None
        kernel_name = "kid" if extractor.name == "inception" else f"kd_{extractor.name}"
        kernel_counts = (min(n, KERNEL_ROWS), len(reference.kernel_rows))
        name, by = distance_name(extractor.name), (extractor.name, extractor.hash)
        half = m // 2
        floor_note = f"two halves of the held-out images, {half} each, are {reference.halves:.4g} apart"
        return [
            Score(name, frechet, *by, n, m, None, note),
            Score(f"{name}_floor", floor(reference.halves, m, n), *by, n, m, None, floor_note),
            Score(kernel_name, kernel, *by, *kernel_counts, None, kernel_note),
        ]

    def _class_distances(
        self, generated: GeneratedFeatures, extractor: Extractor, reference: ReferenceStatistics
    ) -> list[Score]:
        """Return each class's distance, their mean and the worst; classes with few held-out images have none."""
        if not self.split.labeled:
            return []
        name = distance_name(extractor.name) + "_class"
        scores = []
        for label, class_name in enumerate(self.split.class_names):
            n, m = int(generated.counts[label]), int((self.split.labels == label).sum())
            value: float | None = None
            if generated.broken:
                note: str | None = _broken_note(generated)
            elif m < MIN_CLASS_REFERENCE:
                note = f"{m} held-out images of the class, fewer than {MIN_CLASS_REFERENCE}: no distance"
            elif n < 2:
                note = f"{n} generated images of the class: no distance; raise evaluate.samples"
            else:
                value = generated.distance(reference.by_class[label], label)
                note = bias_note(n, m, generated.features.shape[1])
            scores.append(Score(name, value, extractor.name, extractor.hash, n, m, class_name, note))
        return scores + _mean_and_worst(name, scores)

    def _agreement(self, generated: GeneratedFeatures, judge: Judge) -> list[Score]:
        """Return the share of images whose class, as the judge sees it, is the class asked for."""
        right, counts, m = generated.agreement(), generated.counts, len(self.split)
        by, weights = judge.extractor.name, judge.extractor.hash
        overall = float(right.sum() / counts.sum())
        scores = [Score("agreement", overall, by, weights, generated.samples, m, None, judge.extractor.note)]
        for label, class_name in enumerate(self.split.class_names):
            n, held_out = int(counts[label]), int((self.split.labels == label).sum())
            known = held_out > 0 and n > 0
            note = None if known else f"{held_out} held-out and {n} generated images of the class: cannot be judged"
            value = float(right[label] / n) if known else None
            scores.append(Score("agreement_class", value, by, weights, n, held_out, class_name, note))
        return scores


def distance_name(extractor: str) -> str:
    """Return ``fid`` for Inception's features, else ``fd_<extractor>``: other features give other numbers."""
    return "fid" if extractor == "inception" else f"fd_{extractor}"


def _mean_and_worst(name: str, scores: Sequence[Score]) -> list[Score]:
    """Return the mean over the classes that have a distance, and the largest of them with its class in the note."""
    first = scores[0]
    scored = [(score.value, score) for score in scores if score.value is not None]
    left_out = (
        f"{len(scores) - len(scored)} of {len(scores)} classes have no distance" if len(scored) < len(scores) else ""
    )
    n, m = sum(s.samples for _, s in scored), sum(s.reference_samples for _, s in scored)
    mean = sum(value for value, _ in scored) / len(scored) if scored else None
    worst, which = max(((value, s.class_name) for value, s in scored), default=(None, None), key=lambda pair: pair[0])
    worst_note = "; ".join(text for text in (f"worst class: {which}" if scored else "", left_out) if text)
    return [
        Score(f"{name}_mean", mean, first.extractor, first.hash, n, m, None, left_out or None),
        Score(f"{name}_worst", worst, first.extractor, first.hash, n, m, None, worst_note or None),
    ]


def _broken_note(generated: GeneratedFeatures) -> str:
    return f"{generated.broken} of {generated.samples} generated images have features that are NaN or infinite"

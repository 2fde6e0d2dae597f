"""Score a generator and its classifier head against held-out images, data-parallel over the ranks."""

from collections.abc import Sequence
from pathlib import Path

from distal.communicator import Communicator
from distal.config import Config
from distal.data.protocol import Rows
from distal.errors import EvaluationError
from distal.features import FEATURES, FeatureNetwork, PoolSample
from distal.features.network import PhaseListener, unheard
from distal.metrics.extractor import ExtractorRequest
from distal.metrics.fd import FD
from distal.metrics.metric import Evaluation, Floats, HeadScorer
from distal.metrics.pool_cnn import Judge, learns_labels, pool_judge
from distal.metrics.probe import scores_of as probe_scores
from distal.metrics.reference import Images, IntArray, ReferenceSplit
from distal.metrics.registry import measured
from distal.metrics.samples import Generate, Listener, generate_features
from distal.metrics.score import Score
from distal.metrics.statistics import ReferenceStatistics, reference_statistics
from distal.run.artefacts import Folder, Store
from distal.train.rows import TrainingRows


class Evaluator:
    """Compare generated with held-out images; every method is called by all ranks together.

    config: evaluate.* and net.latent_dim are read. images: where the reference rows are. row_ids: int64 [n], rows of
    held-out images that can be read. class_names: in label order; empty where there are none. cache: the run's storage,
    a RunDirectory or a folder, which keeps extractor and reference statistics. pool_rows: see `ReferenceSplit`.
    """

    def __init__(
        self,
        config: Config,
        images: Images,
        row_ids: IntArray,
        class_names: Sequence[str],
        cache: Store | Path,
        pool_rows: Rows | None = None,
    ) -> None:
        self.config = config
        self.split = ReferenceSplit(images, row_ids, class_names, config.evaluate.reference, pool_rows)
        self.store: Store = Folder(cache) if isinstance(cache, Path) else cache
        self._prepared: tuple[FeatureNetwork, Judge | None, ReferenceStatistics] | None = None

    @property
    def asks_for_training(self) -> bool:
        """Whether a metric needs what the model learned from."""
        return any("training" in metric.needs for metric in measured(self.config.evaluate.metrics))

    @property
    def prepared(self) -> bool:
        """Whether extractor, judge and reference statistics are there."""
        return self._prepared is not None

    def prepare(self, comm: Communicator, listen: PhaseListener = unheard) -> None:
        """Build or load extractor, judge and reference statistics.

        listen: called with "extractor" and the steps of its training, then "reference" and the images described, done
        and in all. Raises EvaluationError or ConfigError.
        """
        settings = self.config.evaluate
        listen("extractor", 0, 0)
        images = self.split.images
        request = ExtractorRequest(
            image_size=images.image_size,
            channels=images.channels,
            comm=comm,
            store=self.store,
            path=settings.extractor_path,
            listen=listen,
            pool=PoolSample(self.split.rows, self.split.row_ids, self.split.key),
            split=self.split,
        )
        judge = pool_judge(self.split, self.store, comm, listen) if learns_labels(self.split) else None
        if judge is not None and settings.extractor == "pool-cnn":
            extractor = judge.extractor
        else:
            extractor = FEATURES.find(settings.extractor)(request)
        self._prepared = (extractor, judge, reference_statistics(self.split, extractor, self.store, comm, listen))

    def evaluate(
        self,
        generate: Generate,
        scorer: HeadScorer | None,
        comm: Communicator,
        listen: Listener | None = None,
        probe: Floats | None = None,
        training: TrainingRows | None = None,
    ) -> list[Score]:
        """Return all scores, the same list on every rank; the overall Frechet distance comes first.

        generate: latents float32 [b, z] and labels int64 [b] on comm.device to uint8 [b, C, H, W]. scorer: uint8 images
        to an object with `probs` [b, K], or None to leave the head out. probe: class probabilities of the held-out
        images by the classifier on frozen features. training: what the model learned from, where that is known.
        listen: called with images done and in all. A generator whose features are not finite gets distances of value
        None, with the reason in the note.
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
        evaluation = Evaluation(self.split, extractor, reference, generated, judge, scorer, probe, comm, training)
        metrics = measured(self.config.evaluate.metrics)
        return [s for m in metrics if all(map(evaluation.has, m.needs)) for s in m.function(evaluation)]

    def of_probe(self, probe: Floats | None) -> list[Score]:
        """Return the scores that need no model, and of it neither images nor an extractor: the probe's."""
        return [] if probe is None else probe_scores(probe, self.split)

    @property
    def goal_name(self) -> str:
        """The name of the score that stopping and reports follow: that of the overall Frechet distance."""
        return FD.score_name(self.config.evaluate.extractor)

    def goal(self, scores: Sequence[Score]) -> Score:
        """Return the score of this name."""
        for score in scores:
            if score.name == self.goal_name:
                return score
        raise EvaluationError(f"No score is named {self.goal_name}; there are {', '.join(s.name for s in scores)}.")

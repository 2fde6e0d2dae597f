"""Look at the pool through a frozen network, on rank 0: embed it, refit the probe, decide who is believed."""

import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import last_trained
from distal.config import Config
from distal.data.protocol import Rows
from distal.data.table import ImageTable
from distal.errors import RunError, StorageError, TrainingError
from distal.features.committee import Committee
from distal.features.competition import Answered, Verdict, judge
from distal.features.network import FeatureNetwork
from distal.features.plane import sampled
from distal.features.probe import Probe
from distal.features.projection import Projection, sampled_rows
from distal.features.rows import EmbeddedRows, Halves, halves
from distal.models import MODELS, Scorer
from distal.nets.threads import one_thread
from distal.pool.drawn import Generate, draw
from distal.pool.mapped import MapOfPool
from distal.pool.sight import Frozen, Sight
from distal.progress import Event, Listener, ignore
from distal.query import Strategy
from distal.query.nearest import Rows as Projected
from distal.query.subpool import Near, merge
from distal.query.view import DRAWS, OF_DRAWN
from distal.run.artefacts import Folder
from distal.run.directory import RunDirectory
from distal.run.ledger import Labels
from distal.run.predictions import Predictions, read_predictions, write_predictions

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

PROJECTION = "projection.safetensors"
FIRST_S, TELL_S = 1.0, 5.0
"""After how long the shards first say how far they are, and how often from then on."""
PREDICT = 256
"""Rows of a query that the model's own classifier looks at together."""


class Looking(Protocol):
    """Reach the eyes of every shard."""

    @property
    def rows(self) -> Rows:
        """Return what gives the pixels of the pool."""

    def look(self, method: str, *args: Any) -> list[Any]:
        """Call a method of every shard's `ShardSight`, in parallel where possible; results in shard order."""


@dataclass(frozen=True)
class HeldOut:
    """Say where the held-out images are: in the pool, whose shards have their features, or elsewhere.

    fraction: of the pool that is held out; 0 where they lie elsewhere.
    """

    images: ImageTable
    rows: Ids
    in_pool: bool
    fraction: float


class Eyes:
    """Keep the projection, the probe and the record of who was right.

    config: features.*, classifier, seed and the model's kind are read. network: makes the frozen network on a device.
    skipped: sorted row ids of the pool that cannot be decoded. What is kept in the run is computed with one CPU thread,
    so that not a bit depends on how many there are.
    """

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        images: ImageTable,
        held_out: HeldOut,
        shards: Looking,
        network: Frozen,
        classes: int,
        skipped: Ids,
    ) -> None:
        self._config, self.run, self._images, self._held_out = config, run, images, held_out
        self._shards, self._network, self._classes, self._skipped = shards, network, classes, skipped
        self._projection: Projection | None = None
        self._held_out_rows: torch.Tensor | None = None
        self._probe: tuple[str, Probe] | None = None
        self._verdict: tuple[tuple[int, str], Verdict] | None = None
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._eye: FeatureNetwork | None = None
        self._as_drawn: tuple[Projection, torch.Tensor] | None = None
        self._map = MapOfPool(run, Folder(images.cache_folder), self.project)

    def open(self, listen: Listener, round: int) -> Projection:
        """Embed the pool, where that is not done, and return the projection, which is the run's from then on.

        Raises:
            StorageError: the disk is full, or the run's projection is damaged.
        """
        if self._projection is None:
            eye = self._made(listen, round)  # first: shards cannot train it
            self._embed(listen, round)
            if not self.run.has(PROJECTION):
                self.run.write(PROJECTION, self._fit().to_bytes())
            try:
                self._projection = Projection.from_bytes(self.run.read(PROJECTION), eye)
            except RunError as error:
                raise StorageError(f"{self.run.place(PROJECTION)} {error}") from None
        return self._projection

    def probe(self, labels: Labels) -> Probe:
        """Return the probe of these labels, of which there may be none."""
        assert self._projection is not None
        content = labels.digest()
        if self._probe is None or self._probe[0] != content:
            rows = self.project(labels.row_ids)
            centred = torch.zeros(rows.shape[1])  # by the projection
            probe = Probe.fit(rows, labels.labels, self._classes, centred, self._config.seed)
            self._probe = content, probe
        return self._probe[1]

    def sight(self, strategy: Strategy, labels: Labels, round: int, generate: Generate, listen: Listener) -> Sight:
        """Say how this round's shards are to look. generate: of the model, where the strategy sees what it draws."""
        assert self._projection is not None
        probe = self.probe(labels)
        committee, verdict = None, self.verdict(round, labels)
        own = DRAWS & MODELS.find(self._config.model.kind).gives if verdict.classifier == "head" else frozenset()
        if "committee" in strategy.needs and "committee" not in own:
            rows = self.project(labels.row_ids)
            members, seed = self._config.features.members, self._config.seed
            committee = Committee.fit(probe, rows, labels.labels, members, seed).to_bytes()
        drawn = self._draw(generate, labels, listen, round) if OF_DRAWN & strategy.tensors else None
        return Sight(verdict, self._projection.to_bytes(), probe.to_bytes(), committee, own, drawn)

    def verdict(self, round: int, labels: Labels) -> Verdict:
        """Say whose class probabilities a round uses, and why: as configured, or who was right before."""
        if self._config.classifier == "probe":
            return Verdict("probe", {}, {"probe": 1.0, "head": 1.0}, "as configured")
        asked_of = round, labels.digest()
        if self._verdict is None or self._verdict[0] != asked_of:
            self._verdict = asked_of, self._judged(round, labels)
        return self._verdict[1]

    def _judged(self, round: int, labels: Labels) -> Verdict:
        if last_trained(self.run, round - 1) is None:
            return Verdict("probe", {}, {"probe": 1.0, "head": 1.0}, "probe: the model has not learned yet")
        history: list[Answered] = []
        # Logistic regression on pixels sees no more than the head, which learns from unlabeled rows as well.
        verdict = judge(history, "head" if self._network.name == "pixels" else "probe")
        order = np.argsort(labels.row_ids)
        for earlier in range(1, round):
            said = read_predictions(self.run, earlier)
            if said is None or said.head is None:
                continue
            here = np.isin(said.row_ids, labels.row_ids)
            found = order[np.searchsorted(labels.row_ids, said.row_ids[here], sorter=order)]
            probe, head, answers = said.probe[here], said.head[here], labels.labels[found]
            history.append(Answered(*map(torch.from_numpy, (probe, head, answers))))
            verdict = judge(history, verdict.classifier)
        return verdict

    def blind(self, strategy: Strategy, labels: Labels, round: int) -> bool:
        """Say whether all that the strategy would see is a probe of fewer than two classes.

        It says the same of every row, so that the lowest row ids would be asked.
        """
        sees = strategy.tensors
        alike = bool(sees) and sees <= {"probs", *DRAWS} and len(np.unique(labels.labels)) < 2
        return alike and self.verdict(round, labels).classifier == "probe"

    def predict(self, round: int, row_ids: Ids, labels: Labels, scorer: Scorer | None) -> None:
        """Keep what both classifiers say of a query, before it is asked. scorer: None where the model has none.

        Raises:
            TrainingError: what the model says is not finite.
        """
        with one_thread():
            probe = self.probe(labels).probs(self.project(row_ids)).numpy()
            head = None if scorer is None else self._head_probs(row_ids, scorer)
        if head is not None and not np.isfinite(head).all():
            raise TrainingError(
                f"round {round}: the model's class probabilities of the rows to be asked are not finite.\n"
                "Its outputs are broken: lower model.learning_rate_g and _d, or go back to a round before."
            )
        write_predictions(self.run, round, Predictions(row_ids, probe, head))

    def _head_probs(self, row_ids: Ids, scorer: Scorer) -> Floats:
        parts = []
        for start in range(0, len(row_ids), PREDICT):
            pixels = self._shards.rows.pixels(row_ids[start : start + PREDICT])
            parts.append(scorer(torch.from_numpy(pixels))["probs"].cpu().numpy())
        return np.concatenate(parts)

    def odds(self, labels: Labels, taken: Ids, among: Ids | None = None) -> Ids:
        """Count the rows but the taken by the probe's log odds of each class, int64 [K, BINS]; among: these alone."""
        assert self._projection is not None
        probe, projection = self.probe(labels).to_bytes(), self._projection.to_bytes()
        counts: Ids = np.sum(self._shards.look("odds", projection, probe, taken, among), axis=0)
        return counts

    def near(self, row_ids: Ids, count: int) -> Near:
        """Return the nearest rows of the pool that may ever be asked to each of these."""
        assert self._projection is not None
        queries = Projected(row_ids, (self.project(row_ids).numpy(),))
        return merge(self._shards.look("near", self._projection.to_bytes(), queries, count), count)

    def held_out_probs(self, labels: Labels) -> Floats:
        """Return the probe's class probabilities of the held-out images, float32 [n, K] in their order."""
        if self._held_out_rows is None:
            self._held_out_rows = self._project_held_out()
        with one_thread():
            probs: Floats = self.probe(labels).probs(self._held_out_rows).numpy()
        return probs

    def draw_map(self, given: Ids, asked: Ids) -> None:
        """Keep where a sample of the pool lies in the plane, and the rows that were asked or given with a label."""
        self._map.draw(self._first_images(), np.union1d(sampled(given), asked))

    def project(self, row_ids: Ids) -> torch.Tensor:
        """Return what the probe sees of these rows of the pool, float32 [m, d]."""
        return self._projected(self._raw(row_ids))

    def _projected(self, raw: Halves) -> torch.Tensor:
        assert self._projection is not None
        with one_thread():
            return self._projection(torch.from_numpy(raw))

    def _project_held_out(self) -> torch.Tensor:
        if self._held_out.in_pool:
            return self.project(self._held_out.rows)
        rows = EmbeddedRows(self._held_out.images, self._made(), self._device).take(self._held_out.rows)
        return self._projected(rows)

    def _raw(self, row_ids: Ids, as_drawn: bool = False) -> Halves:
        """Fetch features from the shards, each of which has those of its own rows."""
        ascending = np.unique(row_ids)
        found: Halves = np.concatenate(self._shards.look("raw", ascending, as_drawn))
        return found[np.searchsorted(ascending, row_ids)]

    def _draw(self, generate: Generate, labels: Labels, listen: Listener, round: int) -> tuple[bytes, bytes]:
        """Draw images of the classes that have a label; return how they look, and the projection that they look by.

        Both they and the pool are seen from images of the pool's size: on 32 px tiles an original and its small copy
        lie further apart than two tiles do.
        """
        network = self._made()
        if self._as_drawn is None:
            self._embed(listen, round, as_drawn=True)
            raw = self._raw(sampled_rows(self._first_images(), self._config.seed), as_drawn=True)
            with one_thread():
                project = Projection.fit(raw, self._config.features.components)
                self._as_drawn = project, project(torch.from_numpy(raw))
        project, sample = self._as_drawn

        def embed(images: torch.Tensor) -> torch.Tensor:
            return project(halves(network(images.to(self._device))).cpu())

        drawn = draw(generate, self._config.net.latent_dim, np.unique(labels.labels), embed, sample)
        return drawn.to_bytes(), project.to_bytes()

    def _made(self, listen: Listener = ignore, round: int = 0) -> FeatureNetwork:
        """Make the frozen network on this rank's device, once; train it where the pool has to teach it."""
        if self._eye is None:
            rows = self._first_images()
            rows = rows[~self._images.held_out(rows, self._held_out.fraction)]

            def told(phase: str, done: int, total: int) -> None:
                listen(Event(round, phase, done, total))

            self._eye = self._network.taught(self._device, self._shards.rows, rows, told)
        return self._eye

    def _embed(self, listen: Listener, round: int, as_drawn: bool = False) -> None:
        total = self._images.rows
        done, began = sum(self._shards.look("embed", 0.0, as_drawn)), time.monotonic()
        known = done
        while done < total:
            first = done == known
            done = sum(self._shards.look("embed", FIRST_S if first else TELL_S, as_drawn))
            rate = (done - known) / (time.monotonic() - began)
            facts: dict[str, float | str] = {"per_s": rate, "left_s": (total - done) / rate if rate else 0.0}
            if first:
                facts["bytes_to_write"] = float((total - known) * 2 * self._shards.look("width")[0])
            listen(Event(round, "features", done, total, facts))

    def _fit(self) -> Projection:
        rows = sampled_rows(self._first_images(), self._config.seed)
        return Projection.fit(self._raw(rows), self._config.features.components)

    def _first_images(self) -> Ids:
        """Return the rows of the pool as first found that are images."""
        return np.setdiff1d(np.arange(self._images.first_rows, dtype=np.int64), self._skipped)

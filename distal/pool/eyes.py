"""Look at the pool through a frozen network, on rank 0: embed it, refit the probe, decide who is believed."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from distal.config import Config
from distal.data.protocol import Rows
from distal.data.table import ImageTable
from distal.features.committee import Committee
from distal.features.competition import Answered, Verdict, judge
from distal.features.probe import Probe
from distal.features.projection import Projection, sampled_rows
from distal.features.rows import EmbeddedRows, Halves
from distal.models import Scorer
from distal.pool.sight import Frozen, Sight
from distal.progress import Event, Listener
from distal.query import Strategy
from distal.run.directory import RunDirectory
from distal.run.ledger import Labels
from distal.run.predictions import Predictions, read_predictions, write_predictions

logger = logging.getLogger(__name__)

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

PROJECTION = "projection.safetensors"
TELL_S = 5.0
"""How often the shards say how far they are."""
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
    """Say where the held-out images are: in the pool, whose shards have their features, or elsewhere."""

    images: ImageTable
    rows: Ids
    in_pool: bool


class Eyes:
    """Keep the projection, the probe and the record of who was right.

    config: features.*, classifier and seed are read. network: makes the frozen network on a device.
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
    ) -> None:
        self._config, self._run, self._images, self._held_out = config, run, images, held_out
        self._shards, self._network, self._classes = shards, network, classes
        self._projection: Projection | None = None
        self._held_out_rows: torch.Tensor | None = None
        self._probe: tuple[int, Probe] | None = None

    def open(self, listen: Listener, round: int) -> Projection:
        """Embed the pool, where that is not done, and return the projection, which is the run's from then on.

        Raises:
            StorageError: the disk is full.
        """
        if self._projection is None:
            self._embed(listen, round)
            if not self._run.has(PROJECTION):
                self._run.write(PROJECTION, self._fit().to_bytes())
            self._projection = Projection.from_bytes(self._run.read(PROJECTION))
        return self._projection

    def probe(self, labels: Labels) -> Probe:
        """Return the probe of these labels, of which there may be none."""
        assert self._projection is not None
        if self._probe is None or self._probe[0] != len(labels.row_ids):
            rows = self.project(labels.row_ids)
            centred = torch.zeros(rows.shape[1])  # by the projection
            probe = Probe.fit(rows, labels.labels, self._classes, centred, self._config.seed)
            self._probe = len(labels.row_ids), probe
        return self._probe[1]

    def sight(self, strategy: Strategy, labels: Labels, round: int) -> Sight:
        """Say how this round's shards are to look."""
        assert self._projection is not None
        probe = self.probe(labels)
        committee = None
        if "committee" in strategy.needs:
            rows = self.project(labels.row_ids)
            members, seed = self._config.features.members, self._config.seed
            committee = Committee.fit(probe, rows, labels.labels, members, seed).to_bytes()
        verdict = self.verdict(round, labels)
        return Sight(verdict, self._projection.to_bytes(), probe.to_bytes(), committee)

    def verdict(self, round: int, labels: Labels) -> Verdict:
        """Say whose class probabilities a round uses, and why: as configured, or who was right before."""
        if self._config.classifier == "probe":
            return Verdict("probe", {}, {"probe": 1.0, "head": 1.0}, "as configured")
        history: list[Answered] = []
        verdict = judge(history)
        order = np.argsort(labels.row_ids)
        for earlier in range(1, round):
            said = read_predictions(self._run, earlier)
            if said is None:
                continue
            here = np.isin(said.row_ids, labels.row_ids)
            found = order[np.searchsorted(labels.row_ids, said.row_ids[here], sorter=order)]
            probe, head, answers = said.probe[here], said.head[here], labels.labels[found]
            history.append(Answered(*map(torch.from_numpy, (probe, head, answers))))
            verdict = judge(history, verdict.classifier)
        return verdict

    def predict(self, round: int, row_ids: Ids, labels: Labels, scorer: Scorer) -> None:
        """Keep what both classifiers say of a query, before it is asked."""
        if self._config.classifier != "auto" or not len(labels.row_ids):
            return
        head = []
        for start in range(0, len(row_ids), PREDICT):
            pixels = self._shards.rows.pixels(row_ids[start : start + PREDICT])
            head.append(scorer(torch.from_numpy(pixels))["probs"].cpu().numpy())
        probe = self.probe(labels).probs(self.project(row_ids)).numpy()
        write_predictions(self._run, round, Predictions(row_ids, np.concatenate(head), probe))

    def held_out_probs(self, labels: Labels) -> Floats:
        """Return the probe's class probabilities of the held-out images, float32 [n, K] in their order."""
        if self._held_out_rows is None:
            self._held_out_rows = self._project_held_out()
        probs: Floats = self.probe(labels).probs(self._held_out_rows).numpy()
        return probs

    def project(self, row_ids: Ids) -> torch.Tensor:
        """Return what the probe sees of these rows of the pool, float32 [m, d]."""
        assert self._projection is not None
        return self._projection(torch.from_numpy(self._raw(row_ids)))

    def _project_held_out(self) -> torch.Tensor:
        assert self._projection is not None
        if self._held_out.in_pool:
            return self.project(self._held_out.rows)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        rows = EmbeddedRows(self._held_out.images, self._network(device), device).take(self._held_out.rows)
        return self._projection(torch.from_numpy(rows))

    def _raw(self, row_ids: Ids) -> Halves:
        """Fetch features from the shards, each of which has those of its own rows."""
        ascending = np.unique(row_ids)
        found: Halves = np.concatenate(self._shards.look("raw", ascending))
        return found[np.searchsorted(ascending, row_ids)]

    def _embed(self, listen: Listener, round: int) -> None:
        total = self._images.rows
        done, began = sum(self._shards.look("embed", 0.0)), time.monotonic()
        known = done
        while done < total:
            done = sum(self._shards.look("embed", TELL_S))
            rate = (done - known) / (time.monotonic() - began)
            facts: dict[str, float | str] = {"per_s": rate, "left_s": (total - done) / rate if rate else 0.0}
            listen(Event(round, "features", done, total, facts))

    def _fit(self) -> Projection:
        rows = sampled_rows(self._images.first_rows, self._config.seed)
        return Projection.fit(self._raw(rows), self._config.features.components)

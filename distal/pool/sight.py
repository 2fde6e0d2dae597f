"""Be a shard's eyes: features of its rows by a frozen network, and what the probe makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from distal.communicator import Alone
from distal.config import Config
from distal.data.protocol import Rows as Images
from distal.data.table import ImageTable
from distal.features import FEATURES, FeatureNetwork, FeatureRequest, PoolSample, network_name
from distal.features.committee import Committee
from distal.features.competition import Verdict
from distal.features.network import PhaseListener, unheard
from distal.features.probe import Probe
from distal.features.projection import Projection
from distal.features.rows import EmbeddedRows, Halves
from distal.pool.drawn import Drawn
from distal.query.nearest import Rows
from distal.query.recall import count_odds
from distal.query.reference import fill
from distal.query.subpool import Near, nearest_rows
from distal.query.view import BY_FEATURES, ONLY_FEATURES, PAST
from distal.run.artefacts import Store
from distal.streams import stream

Ids = npt.NDArray[np.int64]

DRAWN = 10
"""Draws of dropout; the paper of DropQuery has three of a larger share (Gupte et al. 2024)."""

PART = 2048
"""Rows looked at together, where a round looks at some of the pool."""


@dataclass(frozen=True)
class Sight:
    """Say how a round looks at the pool; travels to every shard.

    verdict: whose class probabilities strategies see. projection, probe, committee: their `to_bytes`; no committee
    where it is not needed. own: those of DRAWS that the model gives itself, and is to give here. drawn: what the model
    draws, and the projection of rows that are seen as it is, their `to_bytes`; None where no strategy sees it.
    """

    verdict: Verdict
    projection: bytes
    probe: bytes
    committee: bytes | None = None
    own: frozenset[str] = frozenset()
    drawn: tuple[bytes, bytes] | None = None

    def of_head(self, wanted: frozenset[str]) -> frozenset[str]:
        """Return those of the tensors for which the model's scorer has to look at the pixels."""
        if self.verdict.classifier == "head":
            return wanted - (ONLY_FEATURES - self.own) - PAST
        return wanted - BY_FEATURES - PAST - ({"probs"} if self.verdict.classifier == "probe" else frozenset())

    def constants(self) -> dict[str, torch.Tensor]:
        """Return what the view has by name and is the same on every shard: how what was drawn spreads."""
        return {} if self.drawn is None else Drawn.from_bytes(self.drawn[0]).statistics


@dataclass(frozen=True)
class Frozen:
    """Name a frozen network; whoever needs it makes it on its own device.

    store: where files that cost time are kept. image_size, channels: of the pool. pool: hash of the images that a
    network may be trained on, and of how they are decoded. path: evaluate.extractor_path, for `inception`.
    """

    name: str
    image_size: int
    channels: int
    store: Store
    pool: str
    path: str | None = None

    @classmethod
    def of(cls, config: Config, images: ImageTable, holdout: float, store: Store) -> "Frozen":
        """Name the network of `features.network` for these images, of which a share `holdout` teaches nothing."""
        name = network_name(config.features.network, images.image_size)
        pool = f"{images.fingerprint} {images.spec} {holdout}"
        return cls(name, images.image_size, images.channels, store, pool, config.evaluate.extractor_path)

    def __call__(self, device: torch.device) -> FeatureNetwork:
        """Make the network.

        Raises:
            UntrainedError: it has to be trained first. ConfigError, EvaluationError: it cannot be had.
        """
        return self._made(device, PoolSample(None, np.empty(0, dtype=np.int64), self.pool), unheard)

    def taught(
        self, device: torch.device, rows: Images, row_ids: npt.NDArray[np.int64], listen: PhaseListener = unheard
    ) -> FeatureNetwork:
        """Make the network; train it where the pool has to teach it and nobody has done so.

        rows: gives pixels. row_ids: int64 [n], all images of the pool as first found but those held out. Raises as
        above.
        """
        return self._made(device, PoolSample(rows, row_ids, self.pool), listen)

    def _made(self, device: torch.device, pool: PoolSample, listen: PhaseListener) -> FeatureNetwork:
        request = FeatureRequest(
            image_size=self.image_size,
            channels=self.channels,
            comm=Alone(device),
            store=self.store,
            path=self.path,
            pool=pool,
            listen=listen,
        )
        return FEATURES.find(self.name)(request)


class ShardSight:
    """Hold the features of the rows [first_row, last_row) of a pool.

    usable: bool [n], rows that may be asked at all; the shard leaves out what it cannot read.
    network: None where the run needs no features. device: where it computes.
    """

    def __init__(
        self,
        images: ImageTable,
        first_row: int,
        last_row: int,
        usable: npt.NDArray[np.bool_],
        network: Frozen | None,
        device: torch.device,
    ) -> None:
        self._images, self._network, self._device = images, network, device
        self._first, self._last, self._usable = first_row, last_row, usable
        self._embedded: dict[bool, EmbeddedRows] = {}
        self._projected: dict[bool, tuple[bytes, torch.Tensor]] = {}
        self._said: tuple[tuple[bytes, bytes], torch.Tensor] | None = None

    def embed(self, seconds: float, as_drawn: bool = False) -> int:
        """Compute features until `seconds` have passed; return how many rows have theirs.

        as_drawn: of the pool's own pixels, as what a model draws is seen; else of the originals.
        """
        return self._rows(as_drawn).embed(self._first, self._last, seconds)

    def width(self) -> int:
        """Return F, the number of the network's own features of a row."""
        return self._rows(as_drawn=False).width

    def raw(self, row_ids: npt.NDArray[np.int64], as_drawn: bool = False) -> Halves:
        """Return the network's own features of those of these rows that lie here, float16 [m, F], in their order."""
        return self._rows(as_drawn).take(row_ids[(row_ids >= self._first) & (row_ids < self._last)])

    def near(self, projection: bytes, queries: Rows, count: int) -> Near:
        """Return the nearest of the rows here that may ever be asked to rows that the projection has projected."""
        return nearest_rows(self._project(projection), self._first, self._usable, queries, count)

    def odds(self, projection: bytes, probe: bytes, taken: Ids, among: Ids | None = None) -> Ids:
        """Count the rows that may be asked by the probe's log odds of each class, int64 [K, BINS].

        among: ascending row ids that alone are counted; None for all.
        """
        free = self._usable.copy()
        free[self._here(taken)] = False
        looked = None if among is None else self._here(among)
        probs = self._probs(projection, probe, looked).cpu().numpy()
        return count_odds(probs[free if looked is None else free[looked]])

    def tensors(
        self, sight: Sight, wanted: frozenset[str], of_head: Mapping[str, torch.Tensor], looked: Ids | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the wanted tensors; of_head: those that the model's scorer has given.

        looked: positions of the rows they are of, int64 [p] ascending; None for all.
        """
        given, believed = dict(of_head), sight.verdict.classifier
        if believed == "head" and not (ONLY_FEATURES - sight.own) & wanted:
            return given
        rows = self._looked(looked, sight.projection)
        if "embeddings" in wanted and believed != "head":
            given["embeddings"] = rows
        if "committee" in wanted and sight.committee is not None:
            given["committee"] = self._by_part(looked, rows, Committee.from_bytes(sight.committee).probs)
        if "dropout_probs" in wanted:
            given["dropout_probs"] = self._dropped(looked, rows, Probe.from_bytes(sight.probe))
        if "probs" in wanted and believed != "head":
            probs = self._probs(sight.projection, sight.probe, looked)
            given["probs"] = sight.verdict.probs(probs, of_head.get("probs", probs))
        if sight.drawn is not None:
            given |= self._beside_drawn(*sight.drawn, wanted, given, looked)
        return given

    def _beside_drawn(
        self,
        drawn: bytes,
        projection: bytes,
        wanted: frozenset[str],
        given: Mapping[str, torch.Tensor],
        looked: Ids | None,
    ) -> dict[str, torch.Tensor]:
        """Return what rows are beside what the model draws, seen from their pixels at its size."""
        rows = self._looked(looked, projection, as_drawn=True)
        found = {"features": rows} if "features" in wanted else {}
        if "generated_distance" in wanted:
            distance = Drawn.from_bytes(drawn).distance
            found["generated_distance"] = self._by_part(looked, rows, distance, given["probs"])
        return found

    def _dropped(self, looked: Ids | None, rows: torch.Tensor, probe: Probe) -> torch.Tensor:
        """Return what the probe says of rows without half of their features, in each of several draws [n, M, K]."""
        kept = stream(0, "dropout").random((DRAWN, rows.shape[1])) < 0.5
        masks = torch.from_numpy(kept).to(rows)
        return torch.stack([self._by_part(looked, rows * mask, probe.probs) for mask in masks], 1)

    def _project(self, projection: bytes, as_drawn: bool = False) -> torch.Tensor:
        """Project all rows once a launch: a round then costs a product of few columns."""
        kept = self._projected.get(as_drawn)
        if kept is None or kept[0] != projection:
            project = Projection.from_bytes(projection)
            rows, step, last = self._rows(as_drawn), self._images.block_rows, self._last
            parts = (rows.between(start, min(start + step, last)) for start in range(self._first, last, step))
            projected = [project(torch.from_numpy(np.array(part)).to(self._device)) for part in parts]
            width = project.matrix.shape[1]
            kept = projection, torch.cat([torch.empty(0, width, device=self._device), *projected])
            self._projected[as_drawn] = kept
        return kept[1]

    def _probs(self, projection: bytes, probe: bytes, looked: Ids | None) -> torch.Tensor:
        """Return what the probe says of rows: a round ends with that question and the next begins with it.

        Of all rows it is kept, where that takes no more memory than the rows themselves.
        """
        if looked is None and self._said is not None and self._said[0] == (projection, probe):
            return self._said[1]
        rows = self._looked(looked, projection)
        probs = self._by_part(looked, rows, Probe.from_bytes(probe).probs)
        if looked is None:
            self._said = ((projection, probe), probs) if probs.shape[1] <= rows.shape[1] else None
        return probs

    def _looked(self, looked: Ids | None, projection: bytes, as_drawn: bool = False) -> torch.Tensor:
        rows = self._project(projection, as_drawn)
        return rows if looked is None else rows[torch.from_numpy(looked).to(self._device)]

    def _by_part(
        self, looked: Ids | None, rows: torch.Tensor, function: Callable[..., torch.Tensor], *more: torch.Tensor
    ) -> torch.Tensor:
        """Apply to parts of one shape, so that a row's bits do not depend on the sharding: whole blocks.

        Of rows that are looked at here and there, to parts that are filled up: what comes of a row does not depend on
        its place.
        """
        size = self._images.block_rows if looked is None else PART
        parts = []
        for tensors in zip(*(torch.split(tensor, size) for tensor in (rows, *more)), strict=True):
            filled = tensors if looked is None else [fill(tensor, size) for tensor in tensors]
            parts.append(function(*filled)[: len(tensors[0])])
        return torch.cat(parts)

    def _here(self, row_ids: Ids) -> Ids:
        """Return the positions of those of these rows that lie here."""
        return row_ids[(row_ids >= self._first) & (row_ids < self._last)] - self._first

    def _rows(self, as_drawn: bool) -> EmbeddedRows:
        if as_drawn not in self._embedded:
            if self._network is None:
                raise RuntimeError("the shard was made without a frozen network")
            network = self._network(self._device)
            if as_drawn:
                network = replace(network, size=None, channels=None)
            self._embedded[as_drawn] = EmbeddedRows(self._images, network, self._device)
        return self._embedded[as_drawn]

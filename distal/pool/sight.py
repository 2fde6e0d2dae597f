"""Be a shard's eyes: features of its rows by a frozen network, and what the probe makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from distal.communicator import Alone
from distal.data.table import ImageTable
from distal.features import FEATURES, FeatureNetwork, FeatureRequest
from distal.features.committee import Committee
from distal.features.competition import Verdict
from distal.features.probe import Probe
from distal.features.projection import Projection
from distal.features.rows import EmbeddedRows, Halves
from distal.query.recall import count_odds
from distal.query.view import BY_FEATURES, DRAWS
from distal.run.artefacts import Store
from distal.streams import stream

DRAWN = 10
"""Draws of dropout; the paper of DropQuery has three of a larger share (Gupte et al. 2024)."""


@dataclass(frozen=True)
class Sight:
    """Say how a round looks at the pool; travels to every shard.

    verdict: whose class probabilities strategies see. projection, probe, committee: their `to_bytes`; no committee
    where it is not needed. own: those of DRAWS that the model gives itself, and is to give here.
    """

    verdict: Verdict
    projection: bytes
    probe: bytes
    committee: bytes | None = None
    own: frozenset[str] = frozenset()

    def of_head(self, wanted: frozenset[str]) -> frozenset[str]:
        """Return those of the tensors for which the model's scorer has to look at the pixels."""
        if self.verdict.classifier == "head":
            return wanted - (DRAWS - self.own)
        return wanted - BY_FEATURES - ({"probs"} if self.verdict.classifier == "probe" else frozenset())


@dataclass(frozen=True)
class Frozen:
    """Name a frozen network; whoever needs it makes it on its own device.

    store: where files that cost time are kept. image_size, channels: of the pool.
    """

    name: str
    image_size: int
    channels: int
    store: Store

    def __call__(self, device: torch.device) -> FeatureNetwork:
        """Make the network."""
        comm = Alone(device)
        request = FeatureRequest(image_size=self.image_size, channels=self.channels, comm=comm, store=self.store)
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
        self._embedded: EmbeddedRows | None = None
        self._projected: tuple[bytes, torch.Tensor] | None = None

    def embed(self, seconds: float) -> int:
        """Compute features until `seconds` have passed; return how many rows have theirs."""
        return self._rows().embed(self._first, self._last, seconds)

    def width(self) -> int:
        """Return F, the number of the network's own features of a row."""
        return self._rows().width

    def raw(self, row_ids: npt.NDArray[np.int64]) -> Halves:
        """Return the network's own features of those of these rows that lie here, float16 [m, F], in their order."""
        return self._rows().take(row_ids[(row_ids >= self._first) & (row_ids < self._last)])

    def odds(self, projection: bytes, probe: bytes, taken: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count the rows that may be asked by the probe's log odds of each class, int64 [K, BINS]."""
        probs = self._by_block(self._project(projection), Probe.from_bytes(probe).probs).cpu().numpy()
        left = self._usable & ~np.isin(np.arange(self._first, self._last), taken)
        return count_odds(probs[left])

    def tensors(
        self, sight: Sight, wanted: frozenset[str], of_head: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """Return the wanted tensors of every row; of_head: those that the model's scorer has given."""
        given, believed = dict(of_head), sight.verdict.classifier
        if believed == "head" and not (DRAWS - sight.own) & wanted:
            return given
        rows = self._project(sight.projection)
        if "embeddings" in wanted and believed != "head":
            given["embeddings"] = rows
        if "committee" in wanted and sight.committee is not None:
            given["committee"] = self._by_block(rows, Committee.from_bytes(sight.committee).probs)
        if "dropout_probs" in wanted:
            given["dropout_probs"] = self._dropped(rows, Probe.from_bytes(sight.probe))
        if "probs" in wanted and believed != "head":
            probs = self._by_block(rows, Probe.from_bytes(sight.probe).probs)
            given["probs"] = sight.verdict.probs(probs, of_head.get("probs", probs))
        return given

    def _dropped(self, rows: torch.Tensor, probe: Probe) -> torch.Tensor:
        """Return what the probe says of rows without half of their features, in each of several draws [n, M, K]."""
        kept = stream(0, "dropout").random((DRAWN, rows.shape[1])) < 0.5
        masks = torch.from_numpy(kept).to(rows)
        return torch.stack([self._by_block(rows * mask, probe.probs) for mask in masks], 1)

    def _project(self, projection: bytes) -> torch.Tensor:
        """Project all rows once a launch: a round then costs a product of few columns."""
        if self._projected is None or self._projected[0] != projection:
            project = Projection.from_bytes(projection)
            rows, step, last = self._rows(), self._images.block_rows, self._last
            parts = (rows.between(start, min(start + step, last)) for start in range(self._first, last, step))
            projected = [project(torch.from_numpy(np.array(part)).to(self._device)) for part in parts]
            width = project.matrix.shape[1]
            self._projected = projection, torch.cat([torch.empty(0, width, device=self._device), *projected])
        return self._projected[1]

    def _by_block(self, rows: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Apply to whole blocks: products of one shape, so that a row's bits do not depend on the sharding."""
        return torch.cat([function(part) for part in torch.split(rows, self._images.block_rows)])

    def _rows(self) -> EmbeddedRows:
        if self._embedded is None:
            if self._network is None:
                raise RuntimeError("the shard was made without a frozen network")
            self._embedded = EmbeddedRows(self._images, self._network(self._device), self._device)
        return self._embedded

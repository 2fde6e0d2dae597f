"""Score images with several scorers: what each says, as a committee, and what they say together."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from distal.models.ensemble.stacking import combined
from distal.models.protocol import Scorer
from distal.models.registry import read_scorer
from distal.nets.scorer import Scores
from distal.nets.weights import header_of, pack_files, unpack_files

NEEDED = frozenset({"probs", "embeddings", "realism"})
"""What each member gives."""

GIVES = NEEDED | {"committee"}


class EnsembleScorer:
    """Own the scorers of the members. combine: see `EnsembleConfig`. weights: of the members, float64 [M], to stack."""

    def __init__(self, members: Sequence[Scorer], combine: str, weights: Tensor | None = None) -> None:
        self.members, self.combine = members, combine
        even = torch.full((len(members),), 1.0 / len(members), dtype=torch.float64)
        self.weights = even if weights is None else weights

    @classmethod
    def from_bytes(cls, data: bytes, device: torch.device | str = "cpu", gains: bool | None = None) -> "EnsembleScorer":
        """Rebuild a scorer from `to_bytes`."""
        packed = unpack_files(data)
        members = [read_scorer(packed[name], device, gains) for name in sorted(packed)]
        header = header_of(data)
        weights = header.get("weights")
        return cls(members, header["combine"], None if weights is None else torch.tensor(weights, dtype=torch.float64))

    def to_bytes(self) -> bytes:
        """Return safetensors bytes that hold those of the members; nothing in them is executed when they are read."""
        packed = {f"member{i:02d}": member.to_bytes() for i, member in enumerate(self.members)}
        header: dict[str, Any] = {"model": "ensemble", "combine": self.combine}
        if self.combine == "stacking":
            header["weights"] = self.weights.tolist()
        return pack_files(packed, header)

    def __call__(self, images: Tensor) -> Scores:
        """Score uint8 images [n, C, H, W].

        committee: float32 [n, B, K], the members' class probabilities. probs: float32 [n, K], their mean, the share of
        members that find a class the likeliest, or what `stacking.combined` makes of them. embeddings: float32
        [n, sum F], the members' side by side, as long as one of them. realism: float32 [n], the mean of theirs.
        """
        said = [member(images) for member in self.members]
        committee = torch.stack([scores["probs"] for scores in said], 1)
        return {
            "committee": committee,
            "probs": self.together(committee),
            "embeddings": torch.cat([scores["embeddings"] for scores in said], 1) / len(said) ** 0.5,
            "realism": torch.stack([scores["realism"] for scores in said], 1).mean(1),
        }

    def together(self, committee: Tensor) -> Tensor:
        """Return the class probabilities, float32 [n, K], that come of the members' [n, M, K]."""
        if self.combine == "stacking":
            return combined(committee, self.weights)
        votes = one_hot(committee.argmax(2), committee.shape[2]).float() if self.combine == "voting" else committee
        return votes.mean(1)

"""Ask several probes, each fitted to a bootstrap of the labels: where they differ, labels would teach most.

Breiman (1996), "Bagging predictors"; as a committee, Abe & Mamitsuka (1998), "Query learning strategies using boosting
and bagging". Resampled within each class, so that every member knows every class that has a label.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from distal import streams
from distal.features.logistic import fit_logistic
from distal.features.probe import Ints, Probe, among_classes, balance, directions, logits_of, rotated
from distal.nets.threads import one_thread
from distal.nets.weights import header_of, pack, unpack


@dataclass(frozen=True)
class Committee:
    """Own B fitted members. weight: float32 [F, B * P], bias: float32 [B * P]; the rest as in Probe."""

    members: int
    classes: int
    labels: int
    mean: Tensor
    weight: Tensor
    bias: Tensor
    known: Tensor

    @classmethod
    def fit(cls, probe: Probe, features: Tensor, labels: Ints, members: int, seed: int) -> "Committee":
        """Fit each member to a bootstrap of the rows [m, F] that the probe was fitted to.

        Strength and temperature are the probe's: chosen once, on all labels. The same input gives the same bits.
        """
        wide = members * len(probe.known)
        weight, bias = torch.zeros(len(probe.mean), wide), torch.zeros(wide)
        if len(probe.known) > 1:
            with one_thread():
                z, basis = rotated(directions(features.cpu(), probe.mean).double())
                known = probe.known.numpy()
                onehot = one_hot(torch.from_numpy(np.searchsorted(known, labels))).double()
                base = balance(onehot)
                start = fit_logistic(z, onehot, base, probe.strength)
                fitted = []
                for member in range(members):
                    times = torch.from_numpy(bootstrap(labels, seed, member))
                    w = fit_logistic(z, onehot, base * times, probe.strength, start, tolerance=1e-5)
                    fitted.append(w / probe.temperature)
                both = torch.cat(fitted, 1)
                weight, bias = (basis @ both[:-1]).float(), both[-1].float()
        return cls(members, probe.classes, len(labels), probe.mean, weight, bias, probe.known)

    @torch.inference_mode()
    def probs(self, features: Tensor) -> Tensor:
        """Return float32 [n, B, K]: each member's class probabilities of features [n, F], on their device."""
        logits = logits_of(features, self.mean, self.weight, self.bias)
        apart = logits.reshape(len(logits), self.members, len(self.known))
        return among_classes(apart, self.known, self.classes, self.labels)

    def to_bytes(self) -> bytes:
        """Return safetensors bytes with a JSON header; nothing in them is executed when they are read."""
        header = {"model": "committee", "members": self.members, "classes": self.classes, "labels": self.labels}
        return pack({name: getattr(self, name) for name in ("mean", "weight", "bias", "known")}, header)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Committee":
        """Rebuild a committee from `to_bytes`."""
        header = header_of(data)
        return cls(header["members"], header["classes"], header["labels"], **unpack(data))


def bootstrap(labels: Ints, seed: int, member: int) -> Ints:
    """Return how often the member sees each of the rows [m]: as many draws from each class as it has labels."""
    draw = streams.stream(seed, "committee", member)
    times = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        times[rows] = draw.multinomial(len(rows), np.full(len(rows), 1.0 / len(rows)))
    return times

"""Classify frozen features by logistic regression, refit from scratch on all labels: the probe.

A row is how it differs from the pool's mean, at unit length. Entries are not divided by their own spread: those that
vary most in the pool tell most about it, and the penalty should spare them. Classes weigh alike whatever their numbers
of labels. The strength of the penalty is the one whose log loss on labels left out is least, where each label counts
once (a class with two labels would decide it otherwise), and the temperature is fitted to those same left-out logits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize, one_hot, pad

from distal import streams
from distal.features.calibration import expected_calibration_error, fit_temperature
from distal.features.logistic import fit_logistic
from distal.nets.threads import one_thread
from distal.nets.weights import header_of, pack, unpack

Ints = npt.NDArray[np.int64]

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""What cross-validation chooses from, scikit-learn's C, for rows of unit length."""

UNCHOSEN = 30.0
"""The strength where no class has two labels, so that nothing can be left out."""

FOLDS = 5
LEFT_OUT = 300
"""Labels whose loss is known well enough: no further fold is left out."""

LEAST = 1e-6
"""No class is less probable: the log loss of one such answer stays finite."""

WIDE = 16
"""Columns of a product."""

ROWS = 2048
"""Rows standardized at a time: 2,048 x 1,280 float32 stay in the cache."""


@dataclass(frozen=True)
class Probe:
    """Own a fitted probe.

    mean: float32 [F], of the pool. weight: float32 [F, P], bias: float32 [P], the temperature in them, of the P classes
    with labels, known: int64 [P]. labels: how many it learned from. strength: the chosen one. loss, calibration_error:
    log loss and expected calibration error of the labels left out; None where none could be.
    """

    classes: int
    mean: Tensor
    weight: Tensor
    bias: Tensor
    known: Tensor
    labels: int
    strength: float
    temperature: float
    loss: float | None
    calibration_error: float | None

    @classmethod
    def fit(cls, features: Tensor, labels: Ints, classes: int, mean: Tensor | None, seed: int) -> "Probe":
        """Learn from features [m, F] and their labels [m] in [0, classes); the same input gives the same bits.

        mean: of the pool's features [F]; None takes the labeled rows', which are few. A class without a label is no
        error, nor is no label at all.
        """
        with one_thread():
            known, y = np.unique(labels, return_inverse=True)
            features = features.float().cpu()
            mean = (features.sum(0) / max(1, len(features)) if mean is None else mean).float().cpu()
            target = torch.from_numpy(y.astype(np.int64))
            if len(known) < 2:
                found, weight, bias = _Chosen(), torch.zeros(features.shape[1], len(known)), torch.zeros(len(known))
            else:
                z, basis = rotated(directions(features, mean).double())
                found, w = _fit(z, target, seed)
                w = w / found.temperature
                weight, bias = (basis @ w[:-1]).float(), w[-1].float()
        head = (mean, weight.contiguous(), bias, torch.from_numpy(known.astype(np.int64)))
        return cls(classes, *head, len(labels), found.strength, found.temperature, found.loss, found.calibration_error)

    @torch.inference_mode()
    def probs(self, features: Tensor) -> Tensor:
        """Return the class probabilities float32 [n, K] of features [n, F] of any float type, on their device."""
        logits = logits_of(features, self.mean, self.weight, self.bias)
        return among_classes(logits, self.known, self.classes, self.labels)

    def to_bytes(self) -> bytes:
        """Return safetensors bytes with a JSON header; nothing in them is executed when they are read."""
        header = {name: getattr(self, name) for name in NUMBERS}
        return pack({name: getattr(self, name) for name in TENSORS}, {"model": "probe", **header})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Probe":
        """Rebuild a probe from `to_bytes`."""
        header, tensors = header_of(data), unpack(data)
        values: dict[str, Any] = {name: header[name] for name in NUMBERS} | {name: tensors[name] for name in TENSORS}
        return cls(**values)


NUMBERS = ("classes", "labels", "strength", "temperature", "loss", "calibration_error")
TENSORS = ("mean", "weight", "bias", "known")


@dataclass(frozen=True)
class _Chosen:
    strength: float = UNCHOSEN
    temperature: float = 1.0
    loss: float | None = None
    calibration_error: float | None = None


def _fit(z: Tensor, target: Tensor, seed: int) -> tuple[_Chosen, Tensor]:
    """Choose the strength and the temperature on rows left out, then fit all rows [m, d]: coefficients [d + 1, P]."""
    onehot = one_hot(target).double()
    weights = balance(onehot)
    left_out = torch.zeros(len(STRENGTHS), *onehot.shape, dtype=torch.float64)
    tested = torch.zeros(len(target), dtype=torch.bool)
    for test in folds(target.numpy(), seed):
        train = torch.ones(len(target), dtype=torch.bool)
        train[test] = False
        tested[test] = True
        w = None
        for place, strength in enumerate(STRENGTHS):
            w = fit_logistic(z[train], onehot[train], weights[train], strength, w, tolerance=1e-5)
            left_out[place, test] = z[test] @ w[:-1] + w[-1]
    if not tested.any():
        return _Chosen(), fit_logistic(z, onehot, weights, UNCHOSEN)
    left_out, y = left_out[:, tested], target[tested]
    losses = [float(cross_entropy(logits, y)) for logits in left_out]
    best = min(range(len(STRENGTHS)), key=losses.__getitem__)
    temperature = fit_temperature(left_out[best], y)
    tempered = left_out[best] / temperature
    error = expected_calibration_error(tempered.softmax(1), y)
    found = _Chosen(STRENGTHS[best], temperature, float(cross_entropy(tempered, y)), error)
    return found, fit_logistic(z, onehot, weights, STRENGTHS[best])


def folds(y: Ints, seed: int) -> Iterator[Ints]:
    """Yield the rows that each fold leaves out: each class is dealt out evenly, a class with one label never left out.

    So every fold learns every class, and a class is first judged when it has two labels. Ends with the fold that has
    left out LEFT_OUT rows in all.
    """
    draw = streams.stream(seed, "probe", "folds")
    by_class = [draw.permutation(np.flatnonzero(y == c)) for c in np.unique(y)]
    dealt = [rows for rows in by_class if len(rows) > 1]
    if dealt:
        order = np.concatenate(dealt)
        needed = -(-LEFT_OUT * FOLDS // len(order))
        yield from (np.sort(order[start::FOLDS]) for start in range(min(FOLDS, len(order), needed)))


def among_classes(logits: Tensor, known: Tensor, classes: int, labels: int) -> Tensor:
    """Return float32 probabilities [..., K] of logits [..., P] of the known classes, learned from this many labels.

    A class without a label has the share 1 / (m + K), Laplace's rule of succession for m labels: the next answer may
    be the first of it. No class has less than about LEAST.
    """
    share = 1.0 / (labels + classes)
    probs = logits.new_full((*logits.shape[:-1], classes), share)
    if len(known):
        rest = 1.0 - share * (classes - len(known))
        probs[..., known.to(logits.device)] = (logits.softmax(-1) * rest).clamp_min(LEAST)
    return probs / probs.sum(-1, keepdim=True)


def balance(onehot: Tensor) -> Tensor:
    """Return the weights [m] of rows [m, P] with which classes weigh alike; their mean is 1."""
    return (onehot / onehot.sum(0)).sum(1) * (len(onehot) / onehot.shape[1])


def logits_of(features: Tensor, mean: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return float32 [n, P] of features [n, F], on their device.

    A product of a multiple of WIDE columns takes kernels that are faster (0.37 s for 10^6 x 128 x 16, 0.59 s for 10)
    and give a row the same bits wherever it stands.
    """
    mean, weight, bias = (tensor.to(features.device) for tensor in (mean, weight, bias))
    columns = weight.shape[1]
    weight = pad(weight, (0, -columns % WIDE))
    parts = [(directions(rows, mean) @ weight)[:, :columns] + bias for rows in torch.split(features, ROWS)]
    return torch.cat(parts)


def directions(features: Tensor, mean: Tensor) -> Tensor:
    """Return where features [n, F] lie from the mean, at unit length, float32."""
    return normalize(features.float() - mean)


def rotated(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows [m, F] along the main axes of their own span, [m, d], and these axes [F, d]: no penalty sees it."""
    basis, upper = torch.linalg.qr(x.T)
    _, turn = torch.linalg.eigh(upper @ upper.T)
    return upper.T @ turn, basis @ turn

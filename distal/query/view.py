"""Show a query strategy one shard of the pool: who may be asked, and what the current model thinks of each row."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from distal.errors import nearest_name
from distal.nets.scorer import PROVIDERS

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Doubles = npt.NDArray[np.float64]

FACTORS = {"gradients": ("probs", "embeddings"), "generated_distance": ("generated_distance", "probs")}
"""Needs that stand for several tensors."""

DRAWS = frozenset({"committee", "dropout_probs"})
"""Class probabilities of several draws of a probe on frozen features."""

STATISTICS = ("generated_mean", "generated_covariance", "real_mean", "real_covariance")
"""Constants of the view, [F] and [F, F], of what the model draws and of the pool, in the space of `features`."""

OF_DRAWN = frozenset({"generated_distance", *STATISTICS})
"""What images that the model draws are in the eyes of frozen features."""

ONLY_FEATURES = frozenset({"features", *DRAWS, *OF_DRAWN})
"""What frozen features give whoever classifies."""

BY_FEATURES = frozenset({"embeddings", *ONLY_FEATURES})
"""What frozen features give: themselves, and what the probe's bootstraps and dropout draws say."""

PAST = frozenset({"ldr"})
"""What the scorers of the last rounds give together, of a model that gives realism."""

ROUNDS_BEFORE = {"ldr": 2, **dict.fromkeys(OF_DRAWN, 1)}
"""Rounds that a model must have learned in before a need says anything: one moment of training has no spread."""

NEEDS = frozenset({*PROVIDERS, *FACTORS, *BY_FEATURES, *PAST})
"""What the models of distal and frozen features give; another model's scorer may give more, under names of its own."""


@dataclass(frozen=True)
class Known:
    """Hold every label of a run: row_ids int64 [m], labels int64 [m] in [0, classes).

    costs: float64 [classes], the price of an answer in each class; empty: 1 each.
    """

    row_ids: Ints
    labels: Ints
    classes: int
    costs: Doubles = field(default_factory=lambda: np.zeros(0))

    def of(self, row_ids: Ints) -> Ints:
        """Return the labels of a shard's rows, given in ascending order, int64 [n]; -1 where there is none."""
        labels = np.full(len(row_ids), -1, dtype=np.int64)
        here = np.isin(self.row_ids, row_ids)
        labels[np.searchsorted(row_ids, self.row_ids[here])] = self.labels[here]
        return labels

    def counts(self) -> Ints:
        """Return the labels of each class, int64 [K]."""
        return np.bincount(self.labels, minlength=self.classes)


@dataclass(frozen=True)
class View:
    """Hold the rows of one shard, in ascending order of row id.

    row_ids: int64 [n], ascending; whole blocks of `block_rows`, so that row_ids[0] is a multiple of it. Where a round
    looks at some rows alone, these, with those that carry a label, and block_rows is 1.
    available: bool [n], rows that may be asked. labels: int64 [n], the class of rows that carry a label, -1 elsewhere.
    Rows that are neither available nor labeled (skipped, held out, declined) stay in the arrays, so that sharding
    cannot change a row's place in its block.
    seed, round: name the random streams of this acquisition.
    class_counts: int64 [K], labels of each class in the whole run, the same on every shard; empty where K is unknown.
    costs: float64 [K], the price of an answer in each class; empty: 1 each.
    tensors: what the strategy needs of what the model says, by name, n rows each, on the shard's device, and as
    attributes: probs float32 [n, K], the class probabilities; embeddings float32 [n, F]; realism float32 [n];
    committee float32 [n, B, K], those of B members; dropout_probs float32 [n, M, K], of M dropout draws; features
    float32 [n, d], the frozen network's of the pool's own pixels, as what is drawn is seen; generated_distance float32
    [n]; ldr float32 [n, T], log density ratios by the scorers of the last T rounds, each less its mean over the pool.
    constants: further tensors by name, of any shape, the same on every shard: statistics of what G draws, for example.
    """

    row_ids: Ints
    available: Bools
    labels: Ints
    block_rows: int
    seed: int
    round: int
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    class_counts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    constants: Mapping[str, torch.Tensor] = field(default_factory=dict)
    costs: Doubles = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.row_ids)
        held: dict[str, Sized] = {"available": self.available, "labels": self.labels, **self.tensors}
        for name, array in held.items():
            if len(array) != n:
                raise ValueError(f"view: {name} has {len(array)} rows, row_ids has {n}")
        if n and self.row_ids[0] % self.block_rows:
            raise ValueError(f"view: row {self.row_ids[0]} does not start a block of {self.block_rows} rows")
        if not bool((self.row_ids[1:] > self.row_ids[:-1]).all()):
            raise ValueError("view: row_ids must ascend without repeats")

    @property
    def labeled(self) -> Bools:
        """Return bool [n], rows that carry a label."""
        return self.labels >= 0

    def need(self, name: str) -> torch.Tensor:
        """Return a tensor by its name; raise ValueError where the shard has none."""
        if name in self.constants:
            return self.constants[name]
        if name not in self.tensors:
            hint = nearest_name(name, self.tensors or PROVIDERS)
            raise ValueError(
                f"view: {name} was not computed; name it in the strategy's needs{f' ({hint})' if hint else ''}"
            )
        return self.tensors[name]

    def __getattr__(self, name: str) -> torch.Tensor:
        if name.startswith("__"):  # pickle and copy look for methods before there is a field
            raise AttributeError(name)
        try:
            return self.need(name)
        except ValueError as error:
            raise AttributeError(str(error)) from None

    def finite(self, position: int) -> bool:
        """Say whether all that the model gave for the row at this position is finite."""
        return all(bool(torch.isfinite(tensor[position]).all()) for tensor in self.tensors.values())

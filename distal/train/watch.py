"""Watch the losses of each update, find one that is not finite or explodes, and keep the means that are reported.

A number on a GPU is known only once all that was asked of it is done; to wait for it at each step would leave the GPU
idle. So there the losses of a step are copied in the background and judged after the next step was asked for.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

MEMORY = 0.05
"""Share of the newest loss in what is usual: some twenty updates."""

FLOOR = 1.0
"""A loss below this is never an explosion, for one that was zero may be anything next."""


class Watch:
    """Hold a round's losses by name: those since the last report, those of its last updates, and their usual size.

    explosion: a loss this many times its usual size is one. averaged_from: the update from which losses count in the
    round's means. All of it is numbers, so that a round goes on elsewhere as if it had not been broken.
    """

    def __init__(self, explosion: float, averaged_from: int) -> None:
        self.explosion, self.averaged_from = explosion, averaged_from
        self.recent: dict[str, list[float]] = defaultdict(list)
        self.last: dict[str, list[float]] = defaultdict(list)
        self.usual: dict[str, float] = {}
        self._flying: tuple[int, tuple[str, ...], Tensor, torch.cuda.Event] | None = None

    def see(self, update: int, losses: Mapping[str, Tensor]) -> list[str]:
        """Take the losses of this update (from 1); return what is wrong with those that have arrived, in words."""
        names, values = tuple(losses), torch.stack([value.detach().float() for value in losses.values()])
        if values.device.type != "cuda":
            return self._arrived(update, names, values.tolist())
        copied = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        copied.copy_(values, non_blocking=True)
        event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record()
        wrong = self.settle()
        self._flying = update, names, copied, event
        return wrong

    def settle(self) -> list[str]:
        """Wait for losses that are on the way; return what is wrong with them."""
        if self._flying is None:
            return []
        update, names, copied, event = self._flying
        self._flying = None
        event.synchronize()
        return self._arrived(update, names, copied.tolist())

    def _arrived(self, update: int, names: Iterable[str], values: Iterable[float]) -> list[str]:
        wrong = []
        for name, value in zip(names, values, strict=True):
            size, usual = abs(value), self.usual.get(name)
            if not math.isfinite(value):
                wrong.append(f"{name}={value:.3g}")
            elif usual is not None and size > self.explosion * max(usual, FLOOR):
                wrong.append(f"{name}={value:.3g}, usually {usual:.2g}")
            else:
                self.usual[name] = size if usual is None else usual + MEMORY * (size - usual)
            self.recent[name].append(value)
            if update >= self.averaged_from:
                self.last[name].append(value)
        return wrong

    def report(self) -> dict[str, float]:
        """Return the mean of each loss since this was last called."""
        means = _means(self.recent)
        self.recent.clear()
        return means

    def means(self) -> dict[str, float]:
        """Return the mean of each loss over the updates that count."""
        return _means(self.last)

    def to_json(self) -> dict[str, Any]:
        """Return all that `from_json` needs, once what was on the way has been settled.

        Losses stand in lists, in their order, which is that of what is written of them: a mapping's keys may be sorted.
        """
        recent, last = ([[name, list(values)] for name, values in own.items()] for own in (self.recent, self.last))
        return {"recent": recent, "last": last, "usual": dict(self.usual)}

    @classmethod
    def from_json(cls, explosion: float, averaged_from: int, kept: Mapping[str, Any]) -> "Watch":
        """Go on with what `to_json` returned."""
        watch = cls(explosion, averaged_from)
        for name in ("recent", "last"):
            getattr(watch, name).update({key: list(values) for key, values in dict(kept[name]).items()})
        watch.usual = dict(kept["usual"])
        return watch


def _means(losses: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: math.fsum(values) / len(values) for name, values in losses.items()}

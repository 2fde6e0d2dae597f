"""Draw what people judge: pairs of a real and a generated image, and single images with the class that they are to be.

As in HYPE-infinity (Zhou et al. 2019), nobody is hurried; here the real image stands beside the generated one, of the
same class and in the same size, so that half of the answers are wrong where nobody can tell them apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from distal.checkpoints import TrainedGenerator
from distal.data.protocol import Pixels
from distal.run.judgements import Kind
from distal.streams import stream

Ids = npt.NDArray[np.int64]

BANK = 512
"""Generated images that trials are drawn from."""


@dataclass(frozen=True)
class Trial:
    """Hold one question. sides: which image stands where, `True` for the generated one: two of them, or one."""

    number: int
    kind: Kind
    class_index: int
    generated: int
    real: int | None
    sides: tuple[bool, ...]


class Trials:
    """Give each person trials of their own, the same whenever they are asked for.

    generator: of the round that is judged. rows, labels: int64 [n], the real, held-out images, and their classes, -1
    where they have none; pixels: gives their images, uint8 [n, C, H, W].
    """

    def __init__(self, generator: TrainedGenerator, rows: Ids, labels: Ids, pixels: Callable[[Ids], Pixels]) -> None:
        self._generator = generator
        self._rows, self._labels, self._pixels = rows, labels, pixels
        self._seed = generator.saved.config.seed
        self._classes = len(generator.saved.classes)
        self._name = f"judge-{generator.round}"

    @property
    def known_classes(self) -> bool:
        """Say whether the classes of the real images are known."""
        return bool((self._labels >= 0).any())

    def trial(self, person: str, kind: Kind, number: int) -> Trial:
        """Return a person's trial of this number, from 1."""
        order = stream(self._seed, self._name, kind, person).permutation(BANK)
        generated = int(order[(number - 1) % BANK])
        class_index = generated % self._classes
        draw = stream(self._seed, self._name, kind, person, number)
        alike = self._rows[self._labels == class_index]
        if kind == "real":
            real = int(draw.choice(alike if len(alike) else self._rows))
            left = bool(draw.integers(2))
            return Trial(number, kind, class_index, generated, real, (left, not left))
        control = len(alike) > 0 and bool(draw.integers(2))
        real_row = int(draw.choice(alike)) if control else None
        return Trial(number, kind, class_index, generated, real_row, (not control,))

    def image(self, trial: Trial, side: int) -> Pixels:
        """Return the image that stands at this side, uint8 [C, H, W]."""
        if trial.sides[side]:
            bank: Pixels = self._bank[trial.generated]
            return bank
        assert trial.real is not None
        image: Pixels = self._pixels(np.array([trial.real], dtype=np.int64))[0]
        return image

    @cached_property
    def _bank(self) -> Pixels:
        labels = np.arange(BANK, dtype=np.int64) % self._classes
        seed = int(stream(self._seed, self._name).integers(2**31))
        return self._generator.images(labels, seed)

"""Keep how the discriminator saw the pool at the end of each of the last rounds: log density ratios over training."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import read_checkpoint, trained_before
from distal.config import Config
from distal.data.protocol import Rows
from distal.features.plane import sampled
from distal.models import MODELS, Model
from distal.nets.threads import one_thread
from distal.run.directory import RunDirectory

Ids = npt.NDArray[np.int64]

KEPT = 5
"""Rounds."""

SAMPLE = 512
"""Rows of the pool whose mean is the zero of a scorer's ratios."""


@dataclass(frozen=True)
class Moment:
    """Hold a round's scorer, by its `to_bytes`, and the mean of its realism over a sample of the pool.

    A relativistic loss leaves a discriminator's zero free, so ratios of two rounds are compared from their means on.
    """

    scorer: bytes
    centre: float


class Moments:
    """Make the moments of the last KEPT rounds, on rank 0; a round's is made once in a launch.

    rows: gives pixels. first_images: returns the rows of the pool that are images. shape: image size, channels and
    classes.
    """

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        rows: Rows,
        first_images: Callable[[], Ids],
        shape: tuple[int, int, int],
    ) -> None:
        self._config, self._run, self._rows, self._shape = config, run, rows, shape
        self._first_images = first_images
        self._sample: torch.Tensor | None = None
        self._made: dict[int, Moment] = {}

    def before(self, round: int, model: Model) -> tuple[Moment, ...]:
        """Return those of the last rounds before this one that trained, the oldest first.

        model: as the last of them left it.
        """
        last = list(islice(trained_before(self._run, round), KEPT))
        self._made = {each: self._made.get(each) or self._moment(each, last[0], model) for each in reversed(last)}
        return tuple(self._made.values())

    def _moment(self, each: int, newest: int, model: Model) -> Moment:
        if each != newest:
            files = read_checkpoint(self._run, each)
            kind = MODELS.find(self._config.model.kind)
            model = kind.from_files(self._config, files, model.device, self._shape)
        if self._sample is None:
            self._sample = torch.from_numpy(self._rows.pixels(sampled(self._first_images(), SAMPLE)))
        scorer = model.scorer()
        with one_thread():
            realism = scorer(self._sample)["realism"]
        return Moment(scorer.to_bytes(), float(realism.double().mean()))

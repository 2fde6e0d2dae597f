"""Say whether A is better than B: in pairs, over seeds alone or over seeds and tested images.

Of a value a seed, `over_seeds` tells by Student's t: the bootstrap of five numbers is too narrow. Where many images are
tested as well, `Resamples` bootstraps both. Draw 0 is the sample itself; in each further one, seeds and images (class
by class) are drawn with replacement, the same for A and for B, and the 2.5 and 97.5 percentiles of the difference are
its 95% interval (Efron & Tibshirani 1993, chapter 13). With 5 seeds the interval is a little too narrow for what varies
over seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from distal import streams

Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DRAWS = 1000


@dataclass(frozen=True)
class Interval:
    """Hold an estimate and its 95% interval."""

    value: float
    low: float
    high: float


MOST_SEEDS = 1000
"""What would take more seeds is called no difference."""

POWER = 0.8
"""How often as many seeds as are said to be needed would tell two things apart."""


@dataclass(frozen=True)
class OverSeeds:
    """Hold how far A is above B, seed by seed. needed: seeds in all that would tell them apart in POWER of the cases,
    were the difference what it seems; None where it takes more than MOST_SEEDS.
    """

    difference: Interval
    seeds: int
    needed: int | None

    @property
    def apart(self) -> bool:
        """Say whether A and B are told apart: the interval of the difference excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0


def over_seeds(a: Sequence[float], b: Sequence[float]) -> OverSeeds:
    """Compare the values of A and B under the same seeds, two or more, by the paired t-test (Student 1908)."""
    from scipy.special import stdtrit  # a third of a second's import that only who compares pays

    gaps = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    n, mean, spread = len(gaps), float(gaps.mean()), float(gaps.std(ddof=1))
    reach = float(stdtrit(n - 1, 0.975)) * spread / n**0.5
    difference = Interval(mean, mean - reach, mean + reach)
    counts = np.arange(2, MOST_SEEDS + 1)
    enough = (stdtrit(counts - 1, 0.975) + stdtrit(counts - 1, POWER)) * spread / np.sqrt(counts) < abs(mean)
    return OverSeeds(difference, n, int(counts[enough.argmax()]) if enough.any() else None)


@dataclass(frozen=True)
class Resamples:
    """Say what each draw holds. images: [B, n], how often each image counts. seeds: [B, S], which seeds."""

    images: Doubles
    seeds: Ints

    @classmethod
    def draw(cls, labels: Ints, seeds: int, seed: int, draws: int = DRAWS) -> "Resamples":
        """Draw them for tested images of these labels [n]: every class keeps its number of images."""
        stream = streams.stream(seed, "bootstrap")
        images = np.ones((1 + draws, len(labels)))
        for label in np.unique(labels):
            here = np.flatnonzero(labels == label)
            images[1:, here] = stream.multinomial(len(here), np.full(len(here), 1 / len(here)), draws)
        which = stream.integers(0, seeds, (1 + draws, seeds))
        which[0] = np.arange(seeds)
        return cls(images, which)

    def over_seeds(self, scores: Doubles) -> Doubles:
        """Return the mean over the seeds of each draw, [B, G] of scores [B, S, G]."""
        means: Doubles = np.take_along_axis(scores, self.seeds[:, :, None], 1).mean(1)
        return means


def gain(draws: Doubles, *rivals: Doubles) -> Doubles:
    """Return how much better A is than the best of its rivals in each draw; all of one shape."""
    better: Doubles = draws - np.max(rivals, axis=0)
    return better


def interval(draws: Doubles) -> Interval:
    """Return the estimate, which draw 0 is, and the interval of draws [B]."""
    low, high = np.quantile(draws[1:], (0.025, 0.975))
    return Interval(float(draws[0]), float(low), float(high))


def gain_of_more(errors: Doubles, labels: Ints, more: int) -> Doubles:
    """Estimate by how much the error falls with `more` further labels, [B, G]; never below 0.

    errors: [L, B, G] in [0, 1] after labels [L], ascending. The error is taken to fall as a power of the number of
    labels (Hestness et al. 2017), a straight line in logarithms, fitted by least squares.
    """
    x = np.log(labels.astype(np.float64))
    x -= x[-1]
    y = np.log(np.maximum(errors, 1e-3))
    centred = (x - x.mean())[:, None, None]
    slope = np.minimum((centred * y).sum(0) / ((centred**2).sum(0) + 1e-12), 0.0)
    now = np.exp(y.mean(0) - slope * x.mean())
    fall: Doubles = now * (1 - (1 + more / labels[-1]) ** slope)
    return fall

"""Keep what people judge of a round's generated images: judgements/0007/, one whole file a judgement.

They come after the round is committed, whenever people have time, so no seal holds them and nothing is decided by them.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from distal.run.directory import RunDirectory
from distal.run.journal import Journal

Kind = Literal["real", "class"]
KINDS: tuple[Kind, ...] = ("real", "class")
NAMES: dict[Kind, str] = {"real": "human_error", "class": "human_class_error"}
"""What the report calls the share of either kind that people got wrong."""
SURE = 1.959963984540054  # standard normal quantile of a 95% interval


@dataclass(frozen=True)
class Judgement:
    """Hold one judgement.

    kind: `real`, which of two images is the real one; `class`, whether an image is of its class. trial: the person's
    own count, from 1. class_index: of the images, None where it is not known. generated: whether a generated image was
    judged; of kind `real` always. wrong: whether a generated image was taken for the real one; of kind `class`, whether
    the image was taken for none of its class. seconds: for how long the person looked. token: the page's name for it.
    """

    number: int
    person: str
    kind: Kind
    trial: int
    class_index: int | None
    generated: bool
    wrong: bool
    time: float
    seconds: float
    token: str


@dataclass(frozen=True)
class Tally:
    """Count judgements of generated images. rate: share that was wrong; low, high: its 95% interval; NaN at none.

    The interval is Wilson's (1927), which takes judgements as independent: that of few people who differ is wider.
    controls, controls_wrong: real images among those of kind `class`, and how many were taken for none of their class.
    """

    judged: int
    wrong: int
    rate: float
    low: float
    high: float
    people: int
    controls: int
    controls_wrong: int


def judgements_of(run: RunDirectory, round: int) -> "Journal[Judgement]":
    """Return the journal of a round's judgements."""
    return Journal(run, Judgement, f"judgements/{round:04d}")


def tally(judgements: Iterable[Judgement], kind: Kind) -> Tally:
    """Count the judgements of one kind."""
    of_kind = [judgement for judgement in judgements if judgement.kind == kind]
    judged = [judgement for judgement in of_kind if judgement.generated]
    controls = [judgement for judgement in of_kind if not judgement.generated]
    wrong = sum(judgement.wrong for judgement in judged)
    rate, low, high = wilson(wrong, len(judged))
    people = len({judgement.person for judgement in of_kind})
    return Tally(len(judged), wrong, rate, low, high, people, len(controls), sum(c.wrong for c in controls))


def wilson(successes: int, trials: int, z: float = SURE) -> tuple[float, float, float]:
    """Return a share and Wilson's score interval of it; NaN where there is no trial."""
    if trials == 0:
        return math.nan, math.nan, math.nan
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return share, max(0.0, centre - half), min(1.0, centre + half)

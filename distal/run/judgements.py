"""Keep what people judge of a round's generated images: judgements/0007/, one whole file a judgement.

They come after the round is committed, whenever people have time, so no seal holds them. Whoever reads the round's
result finds them among its scores: a report, or a run that is taken up again with a goal on `human_error`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from distal.run.directory import RunDirectory
from distal.run.journal import Journal
from distal.run.seals import sha256

Kind = Literal["real", "class"]
KINDS: tuple[Kind, ...] = ("real", "class")
NAMES: dict[Kind, str] = {"real": "human_error", "class": "human_class_error"}
"""The scores of either kind: the share that people got wrong."""
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


def judged_scores(run: RunDirectory, round: int) -> list[dict[str, Any]]:
    """Return what people judged of a round as entries of metrics.json's `scores`; none of a kind nobody has judged.

    hash: of the judgements. error: half of the 95% interval in standard deviations of a normal distribution.

    Raises:
        StorageError: a judgement is damaged.
    """
    judgements = judgements_of(run, round).new()
    scores = []
    for kind in KINDS:
        if not (counts := tally(judgements, kind)).judged:
            continue
        by = "1 person" if counts.people == 1 else f"{counts.people} people"
        content = "".join(f"{j.number}{j.wrong}" for j in judgements)
        scores.append(
            {
                "name": NAMES[kind],
                "value": counts.rate,
                "extractor": "people",
                "hash": sha256(content.encode()),
                "samples": counts.judged,
                "reference_samples": counts.judged if kind == "real" else counts.controls,
                "class": None,
                "note": f"95%: {100 * counts.low:.0f} to {100 * counts.high:.0f}%, by {by}",
                "error": (counts.high - counts.low) / (2 * SURE),
            }
        )
    return scores


def wilson(successes: int, trials: int, z: float = SURE) -> tuple[float, float, float]:
    """Return a share and Wilson's score interval of it; NaN where there is no trial."""
    if trials == 0:
        return math.nan, math.nan, math.nan
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return share, max(0.0, centre - half), min(1.0, centre + half)

"""Show the last proof on a run's page: does it pay, class by class, and which images copy training images."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distal.errors import RunError
from distal.report.grid import data_uri
from distal.report.rows import is_picture
from distal.run.directory import RunDirectory

FILE, COPIES = "prove.json", "copies.png"
SHOWN = 10
"""Pairs of an image and what it copies in the picture."""

SETS = ("labels", "augmented", "images", "pseudo")


@dataclass(frozen=True)
class ProofRow:
    """Hold one group of classes: recalls by set, in shares, what further labels promise, and the verdict."""

    name: str
    labels: int
    images: int
    recalls: tuple[float, ...]
    further: float
    gain: tuple[float, float, float]
    answer: str


@dataclass(frozen=True)
class ProofView:
    """Hold the section: the sentences that answer, who decided, what others say, a row a group, the copies."""

    round: int
    images: str
    sentence: str
    label_more: str
    classifier: str
    others: tuple[str, ...]
    price: int
    rows: tuple[ProofRow, ...]
    copies: str
    picture: str | None


def proof_view(run: RunDirectory) -> ProofView | None:
    """Return what the page says of the last proof; None where there is none.

    Raises:
        RunError: prove.json is not what distal writes.
    """
    if not run.has(FILE):
        return None
    try:
        raw = json.loads(run.read(FILE))
        return ProofView(
            round=int(raw["round"]),
            images=str(raw["images"]),
            sentence=str(raw["sentence"]),
            label_more=str(raw.get("label_more") or ""),
            classifier=str(raw.get("classifier", f"logistic regression on features ({raw['network']})")),
            others=tuple(f"{each['classifier']}: {each['sentence']}" for each in raw.get("others", ())),
            price=int(raw["price"]),
            rows=tuple(_row(group) for group in raw["groups"]),
            copies=str(raw.get("copies", {}).get("sentence", "")),
            picture=_picture(run),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise RunError(
            f"{run.place(FILE)} is damaged: not the JSON of a proof.\nRun distal prove again, or delete it."
        ) from None


def _row(group: Mapping[str, Any]) -> ProofRow:
    low, high = (float(group["gain"]["recall"][i]) for i in (1, 2))
    return ProofRow(
        name=str(group["name"]),
        labels=int(group["labels"]),
        images=int(group["images"]),
        recalls=tuple(float(group["sets"][name]["recall"][0]) for name in SETS),
        further=float(group["sets"]["labels"]["recall"][0]) + float(group["further_labels"][0]),
        gain=(float(group["gain"]["recall"][0]), low, high),
        answer=str(group["answer"]),
    )


def _picture(run: RunDirectory) -> str | None:
    """Return the picture of copies as a data: URI; empty where it is damaged, None where there is none."""
    if not run.has(COPIES):
        return None
    png = run.read(COPIES)
    return data_uri(png) if is_picture(png) else ""

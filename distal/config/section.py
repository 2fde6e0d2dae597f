"""Say what every section of the configuration is: refused where it is wrong, with ranges by name."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

EVALUATION_CACHE = "evaluation-cache"
"""Folder of the storage, shared by its runs, with trained extractors and reference statistics by hash."""


@dataclass(frozen=True)
class Place:
    """Mark a key that names files or folders, which `distal.places` makes absolute wherever work begins.

    word: a value that names none.
    """

    word: str | None = None


def _not_reserved(name: str) -> str:
    if name == EVALUATION_CACHE:
        raise ValueError("this folder of the storage keeps extractors and statistics for all runs; take another name")
    return name


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Weight = Annotated[float, Field(ge=0.0)]
Count = Annotated[int, Field(ge=1, le=10**9)]  # more of anything is a slip of the finger
Steps = Annotated[int, Field(ge=0, le=10**9)]
Processes = Annotated[int, Field(ge=0, le=4096)]  # each is a process of some hundred MB
Images = Annotated[int, Field(ge=16, le=10**6)]  # their features are held at once; papers take 50,000
ImageSize = Literal[8, 16, 28, 32, 64, 128, 256]  # side in pixels; what networks halve down to 4 or 7
Name = AfterValidator(_not_reserved)


class Section(BaseModel):
    """Refuse unknown keys, changes after construction, and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

"""Say what travels to a labeling tool of an image that awaits an answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from distal.oracle.sheet import SKIP
from distal.oracle.told import Told

IN_PLACES = r"\{(row_id|path)\}"
"""What a template of images' places must hold, or it would be the same for all."""


@dataclass(frozen=True)
class Task:
    """Ask for one image's class.

    place: where the tool finds the image, a file's name, URL or data URI. path: as the pool has it. size: width and
    height in pixels. suggestion: a class and its probability, None where none is to be shown.
    """

    row_id: int
    place: str
    path: str
    score: float
    size: tuple[int, int]
    suggestion: tuple[str, float] | None = None


@dataclass(frozen=True)
class Batch:
    """Hold the tasks of one round. pool: the fingerprint of the images that row ids count; classes: in label order."""

    tasks: Sequence[Task]
    round: int
    pool: str
    classes: Sequence[str]

    def choices(self) -> list[str]:
        """Return the classes and, unless one is called so, what declines an image."""
        there = any(name.casefold() == SKIP for name in self.classes)
        return [*self.classes] if there else [*self.classes, SKIP]


@dataclass(frozen=True)
class Brought:
    """Hold what a file brings: answers, and a line about each thing in it that is none."""

    told: list[Told]
    problems: list[str]


def image_place(template: str, row_id: int, path: str) -> str:
    """Return where an image is, from a template with {row_id} or {path}; in a web address the path is escaped."""
    escaped = quote(path) if template.startswith(("http", "/")) else path
    return template.replace("{row_id}", str(row_id)).replace("{path}", escaped)


def row_id_of_name(name: object) -> int | None:
    """Return the row id that an image's file name was given on the way out, 7 of images/7.png; None for other names."""
    stem = str(name).replace("\\", "/").rpartition("/")[2].partition(".")[0]
    return int(stem) if stem.isascii() and stem.isdecimal() else None


def whole_number(given: object) -> int | None:
    """Return a row id as tools write it, 7, 7.0 or "7"; None where it is none."""
    try:
        number = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() and not isinstance(given, bool) else None


def items(tree: object) -> Iterator[dict[str, object]]:
    """Yield the objects of a JSON list, whatever else may stand in it."""
    if isinstance(tree, list):
        yield from (item for item in tree if isinstance(item, dict))

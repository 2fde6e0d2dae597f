"""Hold what every source of images is turned into before it is written as a pool."""

from collections.abc import Iterator
from dataclasses import dataclass

from distal.config import PoolConfig

# An image of more pixels would be left out by every run with the default pool.max_pixels.
MAX_PIXELS = int(PoolConfig.model_fields["max_pixels"].default)


@dataclass(frozen=True)
class Record:
    """One image: encoded bytes, its name (relative path), class ordinal or None."""

    data: bytes
    path: str
    label: int | None


@dataclass(frozen=True)
class Refused:
    """One image that is left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Records:
    """A source, opened: class names in label order (None: unlabeled), and its images one after the other."""

    classes: tuple[str, ...] | None
    items: Iterator[Record | Refused]

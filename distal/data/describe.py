"""Say what a pool holds, for a person who is about to spend labels on it."""

from collections import Counter
from dataclasses import dataclass, field

from distal.data.chunks import Skipped
from distal.data.decode import UndecodableError, open_header
from distal.data.table import ImageTable

_ANY_SIZE = 2**62


@dataclass(frozen=True)
class PoolDescription:
    """State the facts of a pool.

    size_bytes: of all files. image_size, channels: as they will be decoded. classes: rows by class name, empty where
    nothing names classes. missing_labels: rows without a label. first_images: how many of the first images have
    each "WIDTHxHEIGHT FORMAT MODE", or why they cannot be read. decoded_rows: rows that lie decoded on this machine;
    skipped: those among them that could not be decoded.
    """

    rows: int
    files: int
    size_bytes: int
    fingerprint: str
    image_size: int
    channels: int
    has_labels: bool
    classes: dict[str, int] = field(default_factory=dict)
    missing_labels: int = 0
    first_images: dict[str, int] = field(default_factory=dict)
    decoded_rows: int = 0
    skipped: tuple[Skipped, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the facts as lines of text."""
        mode = "grey" if self.channels == 1 else "colour"
        text = [
            f"rows         {self.rows:,} in {self.files:,} file(s), {self.size_bytes / 1e6:,.1f} MB",
            f"fingerprint  {self.fingerprint[:16]}",
            f"decoded as   {self.image_size} x {self.image_size}, {mode}",
            "first images " + ", ".join(f"{count} x {kind}" for kind, count in self.first_images.items()),
        ]
        if self.has_labels:
            text.append(f"labels       {len(self.classes)} classes, {self.missing_labels:,} rows without a label")
            width = max((len(name) for name in self.classes), default=0)
            text.extend(f"  {name:<{width}}  {count:>9,}" for name, count in self.classes.items())
        else:
            text.append("labels       none" + (f"; {len(self.classes)} class names" if self.classes else ""))
        if self.decoded_rows:
            text.append(f"decoded      {self.decoded_rows:,} rows lie in the cache, {len(self.skipped):,} were skipped")
            text.extend(f"  row {each.row_id} {each.path}: {each.reason}" for each in self.skipped[:20])
        return text


def describe(table: ImageTable) -> PoolDescription:
    """Read what a pool holds: its footers, label column and first images; nothing is decoded for it.

    Raises PoolError for labels outside the classes.
    """
    counts = table.class_counts() or {name: 0 for name in table.classes or ()}
    decoded_rows, skipped = table.skipped_so_far()
    return PoolDescription(
        rows=table.rows,
        files=len(table.source.files),
        size_bytes=table.source.size_bytes,
        fingerprint=table.fingerprint,
        image_size=table.image_size,
        channels=table.channels,
        has_labels=table.has_labels,
        classes=counts,
        missing_labels=table.rows - sum(counts.values()),
        first_images=dict(Counter(_kind(data) for data, _ in table.first_images()).most_common()),
        decoded_rows=decoded_rows,
        skipped=tuple(skipped),
    )


def _kind(data: bytes | None) -> str:
    try:
        image = open_header(data, _ANY_SIZE)
    except UndecodableError as error:
        return f"unreadable ({error})"
    return f"{image.width}x{image.height} {image.format} {image.mode}"

"""Turn images in other forms into a pool of Parquet files, one image in memory at a time."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from distal.data.digits import CLASSES, DIGITS, digit_images
from distal.data.formats import Record, Records, Refused
from distal.data.formats.array import read_array
from distal.data.formats.cifar import read_cifar
from distal.data.formats.folder import read_folder
from distal.data.formats.idx import is_idx_name, read_idx
from distal.data.formats.record import MAX_PIXELS
from distal.data.writer import PoolWriter
from distal.errors import PoolError, nearest_name

IMPORT_KINDS = ("folder", "idx", "cifar10", "cifar100", "array", DIGITS)
SPLITS = ("train", "test")
_LISTED = 100


@dataclass(frozen=True)
class ImportSummary:
    """State what was written.

    counts: rows by class name. missing_labels: rows without a label. skipped: (path, reason) of the first 100 images
    left out; skipped_count: of all.
    """

    out: Path
    kind: str
    rows: int
    classes: tuple[str, ...] | None
    counts: dict[str, int]
    missing_labels: int
    skipped: tuple[tuple[str, str], ...]
    skipped_count: int

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        text = [f"wrote {self.rows:,} images ({self.kind}) to {self.out}"]
        if self.classes is None:
            text.append("no labels: the pool has no classes")
        else:
            text.append(f"{len(self.classes)} classes, {self.missing_labels:,} images without a label")
            width = max(len(name) for name in self.classes)
            text.extend(f"  {name:<{width}}  {count:>9,}" for name, count in self.counts.items())
        if self.skipped_count:
            text.append(f"left out {self.skipped_count:,} images:")
            text.extend(f"  {path}: {reason}" for path, reason in self.skipped[:20])
        return text


def import_images(
    source: str,
    out: str | Path,
    kind: str | None = None,
    *,
    labels: str | Path | None = None,
    split: str = "train",
    max_pixels: int = MAX_PIXELS,
    on_progress: Callable[[int], None] | None = None,
    encrypt: bool = False,
) -> ImportSummary:
    """Write the images of `source` to `out`, a file that ends in .parquet or a folder, as `open_images` reads them.

    kind: one of IMPORT_KINDS; None guesses. labels: a file of labels, for idx and array, where it has no standard name.
    split: "train" or "test", for folders of idx or CIFAR files that hold both. max_pixels: an image of a folder that
    declares more is left out. on_progress: called with the number of images read so far.
    encrypt: by the first key of the environment, see `distal.data.encryption`.
    Raises PoolError for a source that cannot be read as its kind, StorageError where `out` cannot be written; nothing
    is left behind then.
    """
    if split not in SPLITS:
        raise PoolError(f"Unknown split '{split}'. {nearest_name(split, SPLITS)}\nExpected train or test.")
    path = Path(source).expanduser()
    chosen = kind or guess_kind(source)
    records = _open_records(chosen, path, _existing(labels), split, max_pixels)
    refused: list[tuple[str, str]] = []
    refused_count = 0
    counts = [0] * len(records.classes or ())
    with PoolWriter(Path(out), records.classes, encrypt) as writer:
        for done, item in enumerate(records.items, start=1):
            if isinstance(item, Refused):
                refused_count += 1
                if len(refused) < _LISTED:
                    refused.append((item.path, item.reason))
            else:
                writer.add(item.data, item.path, item.label)
                if item.label is not None:
                    counts[item.label] += 1
            if on_progress is not None:
                on_progress(done)
        rows = writer.rows
    return ImportSummary(
        out=Path(out),
        kind=chosen,
        rows=rows,
        classes=records.classes,
        counts=dict(zip(records.classes or (), counts, strict=True)),
        missing_labels=rows - sum(counts),
        skipped=tuple(refused),
        skipped_count=refused_count,
    )


def guess_kind(source: str) -> str:
    """Return the kind of a source by its name and what its folder holds. Raises PoolError where nothing fits."""
    if source == DIGITS:
        return DIGITS
    path = Path(source).expanduser()
    if not path.exists():
        raise PoolError(f"No such file or folder: {source}\nExpected images to import, or 'digits'.")
    if path.is_dir():
        names = [each.name for each in path.iterdir()]
        if any(is_idx_name(name) for name in names):
            return "idx"
        return next((kind for kind in map(_cifar_kind, sorted(names)) if kind is not None), "folder")
    if path.suffix in (".npy", ".npz"):
        return "array"
    if is_idx_name(path.name):
        return "idx"
    batch_kind = _cifar_kind(path.name)
    if batch_kind is not None:
        return batch_kind
    if path.suffix == ".parquet":
        raise PoolError(f"{source} is Parquet already.\nName it as pool.path; `distal data info` says what it holds.")
    unpack = " Unpack the archive first." if path.suffix in (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz") else ""
    raise PoolError(
        f"Cannot tell what {source} holds.{unpack}\nExpected a folder, .npy, .npz, idx or CIFAR .bin, or a --kind: "
        f"{', '.join(IMPORT_KINDS)}."
    )


def _cifar_kind(name: str) -> str | None:
    if re.fullmatch(r"(data|test)_batch(_\d+)?(\.bin)?", name):
        return "cifar10"
    return "cifar100" if name in ("train.bin", "test.bin") else None


def _existing(labels: str | Path | None) -> Path | None:
    if labels is None:
        return None
    path = Path(labels).expanduser()
    if not path.is_file():
        raise PoolError(f"No such file of labels: {path}\nExpected an idx or .npy file with one label for each image.")
    return path


def _open_records(kind: str, path: Path, labels: Path | None, split: str, max_pixels: int) -> Records:
    if kind not in IMPORT_KINDS:
        raise PoolError(
            f"Unknown kind '{kind}'. {nearest_name(kind, IMPORT_KINDS)}\nExpected one of: {', '.join(IMPORT_KINDS)}."
        )
    if kind == DIGITS:
        return Records(CLASSES, _digit_records())
    if not path.exists():
        raise PoolError(f"No such file or folder: {path}\nExpected images of the kind '{kind}'.")
    if kind == "folder" and not path.is_dir():
        raise PoolError(f"{path} is a file.\nExpected a folder of images for the kind 'folder'.")
    if kind == "array" and not path.is_file():
        raise PoolError(f"{path} is a folder.\nExpected a .npy or .npz file for the kind 'array'.")
    try:
        if kind == "folder":
            return read_folder(path, max_pixels)
        if kind == "idx":
            return read_idx(path, labels, split)
        if kind.startswith("cifar"):
            return read_cifar(path, int(kind.removeprefix("cifar")), split)
        return read_array(path, labels)
    except OSError as error:
        raise PoolError(f"Cannot read {path}: {error.strerror or error}\nExpected images that you may read.") from error


def _digit_records() -> Iterator[Record | Refused]:
    for data, name, label in digit_images():
        yield Record(data, name, label)

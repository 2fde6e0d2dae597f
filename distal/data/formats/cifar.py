"""Read the binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): labels, then 3,072 bytes of planes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from distal.data.digits import encode_png
from distal.data.formats.record import Record, Records, Refused
from distal.errors import PoolError

_PIXELS = 3 * 32 * 32
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def read_cifar(source: Path, classes: int, split: str) -> Records:
    """Open a .bin batch, or a folder of them, of which `split`, "train" or "test", is taken; images keep their order.

    classes: 10 or 100. A record is 1 label byte (CIFAR-10) or 2, coarse and fine (CIFAR-100; the fine one is the
    label), and 3 x 32 x 32 bytes. Class names come from batches.meta.txt or fine_label_names.txt beside the batches.
    Raises PoolError for pickled batches, damage, and labels that the format does not have.
    """
    batches = _find_batches(source, split) if source.is_dir() else [source]
    for batch in batches:
        _refuse_pickle(batch)
    head = 1 if classes == 10 else 2
    _check_sizes(batches, head)
    return Records(_class_names(batches[0].parent, head), _read_batches(batches, head))


def _find_batches(folder: Path, split: str) -> list[Path]:
    found = sorted(folder.glob("*.bin"))
    batches = [path for path in found if path.name.startswith("test") == (split == "test")]
    if batches:
        return batches
    for pickled in sorted(folder.glob("*_batch*")):
        _refuse_pickle(pickled)
    names = ", ".join(path.name for path in found) or "none"
    raise PoolError(f"{folder} holds no .bin batch of the split '{split}' (found: {names}).\nName one file as SOURCE.")


def _refuse_pickle(path: Path) -> None:
    """Refuse a pickled batch: protocol 2 and above start with 0x80, which is no label; protocol 0 with '('."""
    with path.open("rb") as stream:
        start = stream.read(2)
    if path.suffix != ".bin" and (start[:1] == b"\x80" or start in (b"(d", b"(l")):
        raise PoolError(
            f"{path} is a Python pickle, which can run any program when it is read: refused.\n"
            "Fetch the binary version (cifar-10-binary.tar.gz or cifar-100-binary.tar.gz) and import its folder."
        )


def _check_sizes(batches: list[Path], head: int) -> None:
    """Refuse files that are no whole number of records."""
    for path in batches:
        size = path.stat().st_size
        if size == 0 or size % (head + _PIXELS):
            raise PoolError(
                f"{path} is no whole batch of CIFAR-{10 if head == 1 else 100}: {size} bytes.\n"
                f"Expected a multiple of {1 + _PIXELS} (cifar10) or {2 + _PIXELS} (cifar100); name the right kind."
            )


def _class_names(folder: Path, head: int) -> tuple[str, ...]:
    listed = folder / ("batches.meta.txt" if head == 1 else "fine_label_names.txt")
    count = 10 if head == 1 else 100
    if listed.is_file():
        try:
            names = tuple(listed.read_text(encoding="utf-8").split())
        except UnicodeDecodeError as error:
            raise PoolError(f"{listed} is no UTF-8 text: {error.reason}\nExpected one class name a line.") from error
        if len(names) == count == len(set(names)):
            return names
    return _CIFAR10 if head == 1 else tuple(str(code) for code in range(count))


def _read_batches(batches: list[Path], head: int) -> Iterator[Record | Refused]:
    most = 10 if head == 1 else 100
    for path in batches:
        with path.open("rb") as stream:
            row = 0
            while record := stream.read(head + _PIXELS):
                label = record[head - 1]
                if len(record) < head + _PIXELS or label >= most:
                    raise PoolError(
                        f"{path} is no CIFAR binary batch: record {row} has the label {label}.\n"
                        f"Expected labels below {most}."
                    )
                planes = np.frombuffer(record, dtype=np.uint8, offset=head).reshape(3, 32, 32)
                pixels = np.ascontiguousarray(planes.transpose(1, 2, 0))
                yield Record(encode_png(pixels), f"{path.stem}/{row:05d}.png", label)
                row += 1

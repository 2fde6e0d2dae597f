"""Read a folder of image files; its subfolders, where it has any, are the classes."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from distal.data.decode import UndecodableError, open_header
from distal.data.formats.record import Record, Records, Refused
from distal.errors import PoolError

SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jp2", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".pgm", ".ppm", ".pnm", ".tga")
)


def read_folder(source: Path, max_pixels: int) -> Records:
    """Open a folder. Files are sorted, then shuffled by the SHA-1 of their path: any prefix is a fair sample.

    An image's class is the first folder on its path; images beside the class folders have no label. Files with other
    suffixes and names that start with a dot are left alone. Links to files are followed. Raises PoolError where there
    is no image file, and for a link to a folder: to follow it could go in circles, to pass it over would lose a class.
    """
    paths = sorted(_image_paths(source), key=lambda path: (hashlib.sha1(os.fsencode(path)).digest(), path))
    if not paths:
        raise PoolError(
            f"The folder {source} holds no image file.\n"
            "Expected files such as .png or .jpg, in class subfolders or not."
        )
    classes = tuple(sorted({path.split("/", 1)[0] for path in paths if "/" in path})) or None
    return Records(classes, _read_files(source, paths, classes, max_pixels))


def _image_paths(source: Path) -> Iterator[str]:
    for folder, subfolders, files in os.walk(source):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in subfolders:
            _refuse_link(Path(folder, name))
        inside = PurePosixPath(Path(folder).relative_to(source).as_posix())
        for name in files:
            if not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES:
                yield str(inside / name)


def _refuse_link(folder: Path) -> None:
    if folder.is_symlink():
        raise PoolError(
            f"{folder} is a symbolic link to a folder, whose images would be missing from the pool.\n"
            "Put the folder itself in its place, or import what the link names."
        )


def _read_regular(path: Path) -> bytes:
    """Read a file; raise UndecodableError for pipes and devices, which may never end."""
    # Without O_NONBLOCK, a pipe that nobody writes to would hold the very call that opens it.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise UndecodableError("is no regular file")
        return stream.read()


def _read_files(
    source: Path, paths: list[str], classes: tuple[str, ...] | None, max_pixels: int
) -> Iterator[Record | Refused]:
    ordinals = {name: ordinal for ordinal, name in enumerate(classes or ())}
    for path in paths:
        shown = os.fsencode(path).decode(errors="replace")
        try:
            data = _read_regular(source / path)
            open_header(data, max_pixels)
        except OSError as error:
            yield Refused(shown, f"cannot be read: {error.strerror or error}")
        except UndecodableError as error:
            yield Refused(shown, str(error))
        else:
            yield Record(data, shown, ordinals[path.split("/", 1)[0]] if "/" in path else None)

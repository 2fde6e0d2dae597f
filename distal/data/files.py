"""Find the Parquet files that a pool's path names: a file, folder, glob or list, on any filesystem."""

import glob
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from distal.errors import PoolError
from distal.run.files import without_keys

log = logging.getLogger(__name__)

_GLOB = re.compile(r"[*\[]")
_GCS_PATIENCE_S = 20
IMPORT_HINT = "Images in another form become a pool with `distal data import SOURCE OUT`."


@dataclass(frozen=True)
class PoolFile:
    """Name one file: `name` as a person writes it, `path` inside `filesystem`. Picklable."""

    name: str
    path: str
    filesystem: fs.FileSystem


def _shown(place: str | Path) -> str:
    """Return a place as people may see it, in one line whatever its names hold."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in without_keys(str(place)))


def find_files(entries: str | Sequence[str]) -> tuple[PoolFile, ...]:
    """Return the files that the entries name, each once, sorted by name: row ids count along this order.

    Raises PoolError where an entry names nothing, or cannot be reached.
    """
    listed = [entries] if isinstance(entries, str) else list(entries)
    if not listed:
        raise PoolError("pool.path is an empty list.\nExpected at least one Parquet file, folder, glob or URI.")
    files = [file for entry in listed for file in _find_entry(entry)]
    found = {file.name: file for file in files}
    if len(found) < len(files):
        twice = next(name for name, times in Counter(file.name for file in files).items() if times > 1)
        log.warning("%d files are named more than once and read once, the first: %s", len(files) - len(found), twice)
    return tuple(found[name] for name in sorted(found))


def _find_entry(entry: str) -> list[PoolFile]:
    if not entry.strip():
        raise PoolError("pool.path is empty.\nExpected a Parquet file, a folder, a glob or a URI, or 'digits'.")
    try:
        return _find_uri(entry) if "://" in entry else _find_local(entry)
    except (OSError, pa.ArrowException) as error:
        reason = without_keys(str(error).splitlines()[0])[:300]
        raise PoolError(
            f"Cannot read pool path '{_shown(entry)}': {reason}\n"
            "Expected a local path or a URI that pyarrow reads (file://, s3://, gs://, hdfs://), with access to it."
        ) from error


def _find_local(entry: str) -> list[PoolFile]:
    local = fs.LocalFileSystem()
    path = Path(entry).expanduser().absolute()
    if path.exists():
        return _expand(entry, local, str(path), "")
    if not _GLOB.search(entry) and "?" not in entry:
        known = (
            ", ".join(sorted(p.name for p in path.parent.iterdir())[:5]) if path.parent.is_dir() else "no such folder"
        )
        raise PoolError(
            f"No such file or folder: {_shown(path)}\n"
            f"In {_shown(path.parent)}: {_shown(known) or 'nothing'}.\nMend pool.path."
        )
    matches = sorted(glob.glob(str(path), recursive=True))
    files = [file for match in matches if Path(match).is_file() for file in _expand(entry, local, match, "")]
    return files or _refuse_empty(entry, "the pattern matches no file")


def _find_uri(entry: str) -> list[PoolFile]:
    address, mark, query = entry.partition("?")
    scheme = address.partition("://")[0]
    if not address.partition("://")[2].strip("/"):
        raise PoolError(f"The URI '{_shown(entry)}' names nothing.\nExpected scheme://bucket/path.")
    if scheme in ("gs", "gcs") and "retry_limit_seconds" not in query:
        # Left alone, the client tries for 15 minutes where there is no network or no credential.
        mark, query = "?", f"{query}&retry_limit_seconds={_GCS_PATIENCE_S}".lstrip("&")
    prefix = "" if scheme == "file" else f"{scheme}://"
    magic = _GLOB.search(address)
    if magic is None:
        filesystem, path = fs.FileSystem.from_uri(address + mark + query)
        return _expand(entry, filesystem, path, prefix)
    base = address[: magic.start()].rpartition("/")[0]
    filesystem, root = fs.FileSystem.from_uri(base + mark + query)
    pattern = re.compile(_glob_expression(address[len(base) + 1 :]))
    inside = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    paths = [info.path for info in inside if info.type == fs.FileType.File]
    files = [
        PoolFile(prefix + path, path, filesystem)
        for path in paths
        if pattern.fullmatch(path[len(root) :].lstrip("/")) is not None
    ]
    return files or _refuse_empty(entry, "the pattern matches no file")


def _glob_expression(pattern: str) -> str:
    """Return a regular expression in which * and ? stop at a slash and ** does not, as in a local glob."""
    parts = []
    for part in pattern.split("/"):
        tokens = re.split(r"(\*+|\?|\[!?[^\]]+\])", part)
        parts.append("(?:[^/]+/)*" if part == "**" else "".join(map(_token_expression, tokens)) + "/")
    return "".join(parts).removesuffix("/")


def _token_expression(token: str) -> str:
    if token.startswith("*"):
        return "[^/]*"
    if token == "?":
        return "[^/]"
    if token.startswith("[") and token.endswith("]"):
        return token.replace("[!", "[^", 1)
    return re.escape(token)


def _expand(entry: str, filesystem: fs.FileSystem, path: str, prefix: str) -> list[PoolFile]:
    info = filesystem.get_file_info(path)
    if info.type == fs.FileType.NotFound:
        raise PoolError(f"No such file or folder: {_shown(entry)}\nMend pool.path.")
    if info.type == fs.FileType.File:
        return [PoolFile(prefix + path, path, filesystem)]
    inside = filesystem.get_file_info(fs.FileSelector(path, recursive=True))
    chosen = [i.path for i in inside if i.type == fs.FileType.File and _is_pool_name(i.path[len(path) :])]
    if not chosen:
        suffixes = sorted({PurePosixPath(i.path).suffix or "(none)" for i in inside if i.type == fs.FileType.File})
        return _refuse_empty(
            entry, f"the folder holds no .parquet file (found: {', '.join(suffixes[:6]) or 'nothing'})"
        )
    return [PoolFile(prefix + found, found, filesystem) for found in chosen]


def _is_pool_name(relative: str) -> bool:
    """Return whether a path below the folder is a data file: names that start with . or _ are others' bookkeeping."""
    parts = PurePosixPath(relative.lstrip("/")).parts
    return parts[-1].endswith(".parquet") and not _any_hidden(parts)


def _any_hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _refuse_empty(entry: str, reason: str) -> list[PoolFile]:
    raise PoolError(f"No Parquet file at '{_shown(entry)}': {reason}.\n{IMPORT_HINT}")

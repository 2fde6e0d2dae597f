"""Make the paths of a configuration absolute, in this one place: people name files from the folder they stand in.

A run is read from other folders, and its workers and trials stand in folders of their own. So whatever begins to work
on a configuration passes it through here first, and writes it down so. Which keys name files, the tree itself says
(`distal.config.Place`).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from distal.config import Place

M = TypeVar("M", bound=BaseModel)


def absolute(path: str) -> str:
    """Return a local path from the root on, `~` replaced; a URI, or an empty path, as it is."""
    if "://" in path or not path.strip():
        return path
    return str(Path(os.path.expanduser(path)).absolute())


def storage_and_name(path: str) -> tuple[str, str]:
    """Split <storage>/<name>, made absolute, for `.` is no name; a URI's ?options are the storage's."""
    path = absolute(path)
    if path.endswith("/.."):
        path = str(Path(path).resolve())
    place, mark, options = path.partition("?") if "://" in path else (path, "", "")
    storage, slash, name = place.rstrip("/").rpartition("/")
    return ((storage if slash else ".") or "/") + mark + options, name


def with_absolute_places(section: M) -> M:
    """Return a configuration whose paths are absolute, or URIs."""
    changed: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            changed[name] = with_absolute_places(value)
        elif _paths(field, value):
            changed[name] = absolute(value) if isinstance(value, str) else [absolute(path) for path in value]
    return section.model_copy(update=changed)


def places(section: BaseModel, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield every path of a configuration with its dotted key."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from places(value, f"{prefix}{name}.")
        else:
            yield from ((prefix + name, path) for path in _paths(field, value))


def _paths(field: FieldInfo, value: Any) -> list[str]:
    place = next((mark for mark in field.metadata if isinstance(mark, Place)), None)
    if place is None or value is None or value == place.word:
        return []
    return [value] if isinstance(value, str) else list(value)

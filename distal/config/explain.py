"""Say which key of a configuration is wrong, and what is right."""

import reprlib
from collections.abc import Iterator
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from distal.config import Config


def explain(error: ValidationError, root: type[BaseModel] = Config, prefix: str = "", of: str = "") -> str:
    """Say in three lines which key of a configuration of type `root` is wrong, and what is right.

    prefix: the dotted section, with its dot, that `root` is of the whole. of: what else says which keys there are.
    """
    problems = error.errors(include_url=False)
    first = problems[0]
    location = [str(part) for part in first["loc"]]
    key = prefix + ".".join(location)
    section, field = _field_at(location, root)
    if first["type"] == "extra_forbidden" and section is not None:
        near = nearest_key(key.removeprefix(prefix), root)
        hint = f"did you mean '{prefix}{near}'?" if near else ""
        lines = [
            f"{key}: unknown key{'; ' + hint if hint else '.'}",
            f"Known here{of}: {', '.join(section.model_fields)}.",
        ]
    else:
        given, said = _shown(first["input"]), first["msg"].removeprefix("Value error, ")
        lines = [f"{key}: {said[0].lower()}{said[1:]}; given: {given}"]
        if field is not None and field.description:
            lines.append(f"{key} is: {field.description}.")
    if len(problems) > 1:
        lines.append(
            f"({len(problems) - 1} more wrong: {', '.join('.'.join(map(str, p['loc'])) for p in problems[1:4])})"
        )
    return "\n".join(lines)


def nearest_key(key: str, root: type[BaseModel] = Config) -> str:
    """Return the dotted key that is nearest to what was typed, whole or by its last part; empty where none is."""
    known = list(_keys(root, ""))
    near = get_close_matches(key, known, n=1, cutoff=0.75)
    last = {name.rpartition(".")[2]: name for name in reversed(known)}
    near = near or [last[name] for name in get_close_matches(key.rpartition(".")[2], list(last), n=1, cutoff=0.6)]
    return near[0] if near else ""


def _keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield prefix + name
        nested = _section_in(field)
        if nested is not None:
            yield from _keys(nested, f"{prefix}{name}.")


def _shown(given: object) -> str:
    """Return the start of a value's repr, made without making the whole: YAML's aliases can stand for gigabytes."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 3, 80, 80, 80
    return short.repr(given)[:80]


def _field_at(location: list[str], root: type[BaseModel]) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    section = root
    field: FieldInfo | None = None
    for part in location:
        if part not in section.model_fields:
            break
        field = section.model_fields[part]
        nested = _section_in(field)
        if nested is None:
            return section, field
        section = nested
    return section, field


def _section_in(field: FieldInfo) -> type[BaseModel] | None:
    candidates = [field.annotation, *get_args(field.annotation)]
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)

"""Hold what an extension point offers by name: what is built in, and what installed packages add.

A package names it in its own metadata (Python entry points), for example in pyproject.toml:

    [project.entry-points."distal.strategies"]
    my_strategy = "my_package.strategies:my_strategy"

What the entry point loads is the entry itself, or something whose import registers it under that name, as the
decorators of strategies, regularizers and augmentations do.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from distal.errors import ConfigError, nearest_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Map the names of one extension point to its entries.

    key: the configuration key that names an entry, for messages. noun: what an entry is. group: of entry points.
    kind: type that an entry loaded from a package must have, where it is a class of ours. words: what may stand at the
    key besides names, such as "auto", and is settled before a look-up.
    """

    def __init__(
        self,
        key: str,
        noun: str,
        group: str,
        entries: Mapping[str, T] | None = None,
        kind: type | None = None,
        words: tuple[str, ...] = (),
    ) -> None:
        self.key, self.noun, self.group, self.kind, self.words = key, noun, group, kind, words
        self.entries: dict[str, T] = dict(entries or {})
        self._places = {name: _place(entry) for name, entry in self.entries.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __contains__(self, name: str) -> bool:
        return name in self.entries

    def add(self, name: str, entry: T, made_of: object = None) -> None:
        """Register an entry; the same again, from a module that is loaded twice, replaces the first.

        made_of: the function or class that the entry holds, where it is not that itself.

        Raises:
            ConfigError: the name is taken by another.
        """
        place = _place(entry if made_of is None else made_of)
        if name in self.entries and self._places[name] != place:
            raise ConfigError(
                f"{self.noun} '{name}' is registered already, by {self._places[name]}.\nGive yours another name."
            )
        self.entries[name], self._places[name] = entry, place

    def names(self) -> list[str]:
        """Return every known name, those of installed packages included, sorted."""
        return sorted({*self.words, *self.entries, *_installed(self.group, tuple(sys.path))})

    def find(self, name: str, key: str | None = None) -> T:
        """Return the entry of this name, loaded from an installed package where it is not built in.

        key: where the name stands, if not under `self.key`.

        Raises:
            ConfigError: no such name, with the known ones and the nearest; or what a package has cannot be loaded.
        """
        if name not in self.entries:
            self._load(name)
        if name not in self.entries:
            known = self.names()
            hint = nearest_name(name, known)
            raise ConfigError(
                f"{key or self.key}: unknown {self.noun} '{name}'{'; ' + hint if hint else '.'}\n"
                f"Known: {', '.join(known)}."
            )
        return self.entries[name]

    def _load(self, name: str) -> None:
        for point in entry_points(group=self.group, name=name):
            try:
                loaded = point.load()
            except (ImportError, AttributeError) as error:
                raise self._unusable(name, point.value, f"cannot be imported: {error}") from error
            if name in self.entries:  # importing it registered it
                return
            if not (isinstance(loaded, self.kind) if self.kind is not None else callable(loaded)):
                wanted = self.kind.__name__ if self.kind is not None else "function or class"
                article = "an" if wanted[0] in "AEIOU" else "a"
                raise self._unusable(name, point.value, f"is a {type(loaded).__name__}, not {article} {wanted}")
            self.add(name, loaded)

    def _unusable(self, name: str, value: str, why: str) -> ConfigError:
        return ConfigError(
            f"'{name}' of the installed {value} ({self.group}) {why}\n"
            "Mend or uninstall that package, or take another name."
        )


@cache
def _installed(group: str, path: tuple[str, ...]) -> frozenset[str]:
    """Return the names that packages have for a group: all their metadata is read, which takes tens of milliseconds.

    path: where Python looks for packages. One that is installed there meanwhile is found by its name all the same.
    """
    return frozenset(point.name for point in entry_points(group=group))


def _place(made_of: object) -> str:
    """Name where something was defined; an instance by its type, which two entries may share, and its own identity."""
    name = getattr(made_of, "__qualname__", None)
    return f"{made_of.__module__}.{name}" if name else f"{type(made_of).__module__}, {id(made_of):#x}"

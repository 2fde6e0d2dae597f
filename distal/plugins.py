"""Find what installed packages add to the registries: strategies, regularizers, networks, models, extractors, oracles.

A package names it in its own metadata (Python entry points), for example in pyproject.toml:

    [project.entry-points."distal.strategies"]
    my_strategy = "my_package.strategies"

The groups are `distal.strategies`, `distal.regularizers`, `distal.networks`, `distal.models`, `distal.extractors`,
`distal.oracles`.
"""

from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from distal.errors import ConfigError


def known_names(group: str, registry: Iterable[str]) -> list[str]:
    """Return the names of a registry and those that installed packages add to it, sorted."""
    return sorted({*registry, *(point.name for point in entry_points(group=group))})


def load_plugin(group: str, name: str) -> Any:
    """Import what an installed package has under this name, and return it; None where no package has it.

    Raises:
        ConfigError: it cannot be imported.
    """
    for point in entry_points(group=group, name=name):
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"'{name}' of the installed {point.value} ({group}) cannot be imported: {error}\n"
                "Mend or uninstall that package, or take another name."
            ) from error
    return None

"""Read a configuration's tree of plain values from YAML, and put values into it under dotted keys."""

import copy
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from distal.config import Config
from distal.errors import ConfigError

NOT_YAML = (yaml.YAMLError, ValueError, RecursionError)
"""What PyYAML raises: for 2024-02-30 or 0x_ the ValueError of Python's own types, for deep nesting RecursionError."""


class _Loader(yaml.SafeLoader):
    """Refuse a key that stands twice in one mapping, of which PyYAML would take the last without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[Hashable] = set()
        for key, _ in node.value:
            name = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else key
            if name in seen:
                raise yaml.MarkedYAMLError(None, None, f"the key '{key.value}' stands there twice", key.start_mark)
            seen.add(name)
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping that a YAML file holds; an empty file holds none.

    Raises:
        ConfigError: the file cannot be read, is no YAML, names a key twice, or holds something else.
    """
    try:
        tree, _ = _read_value(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"{path}: the configuration cannot be read ({reason}).\n"
            f"Give a YAML file first, then overrides as key=value; `distal config` prints one to start from."
        ) from None
    except NOT_YAML as error:
        raise ConfigError(
            f"{path}: not valid YAML: {' '.join(str(error).split())[:300]}\n"
            f"Mend it there; `distal config` prints a valid one to start from."
        ) from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: expected keys such as 'pool:' at the top, found {type(tree).__name__}.\n"
            f"`distal config` prints a valid one to start from."
        )
    return tree


def apply_override(tree: dict[str, Any], override: str, root: type[BaseModel] = Config) -> None:
    """Put the YAML value of ``key.sub=value`` into a tree that belongs to a configuration of type `root`.

    What the tree lacks on the way to the key is taken from the defaults, so that a mapping's other entries stay.

    Raises:
        ConfigError: it is none, or the key leads through a value.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{override}': expected key=value, for example query.strategy=margin.")
    try:
        value, rest = _read_value(text) if text else ("", "")
    except NOT_YAML as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise ConfigError(
            f"{key}: '{_short(text)}' is not a YAML value{why}.\n"
            f"Quote it if text is meant ({key}='\"...\"'), as where it holds any of : [ ] {{ }} #."
        ) from None
    if "#" in rest:
        raise ConfigError(
            f"{key}: '{_short(text)}' is cut where YAML begins a comment, before '{_short(rest.strip())}'.\n"
            f"Quote it if text is meant ({key}='\"...\"')."
        )
    place_value(tree, key.strip(), value, root().model_dump(mode="json"))


def place_value(tree: dict[str, Any], key: str, value: Any, defaults: Mapping[str, Any] | None = None) -> None:
    """Put a value into a tree under a dotted key; sections that it lacks are copied from `defaults`, or made empty.

    Raises:
        ConfigError: the key leads through a value, or ends in a dot.
    """
    *parents, leaf = key.split(".")
    for depth, parent in enumerate(parents):
        usual = (defaults or {}).get(parent)
        defaults = usual if isinstance(usual, Mapping) else None
        if tree.get(parent) is None:
            # What is told its kind has that kind's defaults, not those of the usual one.
            tree[parent] = {} if leaf == "kind" else copy.deepcopy(dict(defaults or {}))
        branch = tree[parent]
        if not isinstance(branch, dict):
            raise ConfigError(f"{key}: '{'.'.join(parents[: depth + 1])}' holds a value, not a section with keys.")
        tree = branch
    if leaf == "":
        raise ConfigError(f"'{key}': the key ends in a dot.")
    tree[leaf] = value


def _read_value(text: str) -> tuple[Any, str]:
    """Return the value that the text is in YAML, and what of the text follows it."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, text
        return loader.construct_document(node), text[node.end_mark.index :]
    finally:
        loader.dispose()


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."

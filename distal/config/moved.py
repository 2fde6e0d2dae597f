"""Know which configuration keys moved and where to: refused where a person gives them, followed in an old run."""

from collections.abc import Mapping
from typing import Any

from distal.errors import ConfigError

TO_MODEL = (
    "learning_rate_g",
    "learning_rate_d",
    "adversarial",
    "regularizers",
    "lazy_interval",
    "head_weight",
    "pseudo_label_weight",
    "pseudo_label_threshold",
    "class_weight",
)
"""Keys of `train` that went to `model`, for they are the GAN's alone."""


def refuse_moved(tree: Mapping[str, Any]) -> None:
    """Raise ConfigError where a tree has a key at its old place, with the new one."""
    for key in _moved(tree):
        raise ConfigError(f"train.{key} is now model.{key}.\nGive it there; `train` holds what all models share.")


def follow_moved(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tree of a run that was written before keys moved, as it would be written now."""
    tree = {"classifier": "head", **tree}  # there was no other one
    moved = _moved(tree)
    if not moved:
        return tree
    train = tree["train"]
    own = {"kind": "gan", **{key: train[key] for key in moved}}
    return {**tree, "train": {key: value for key, value in train.items() if key not in moved}, "model": own}


def _moved(tree: Mapping[str, Any]) -> list[str]:
    train = tree.get("train") if isinstance(tree, Mapping) else None
    return [key for key in TO_MODEL if key in train] if isinstance(train, Mapping) else []

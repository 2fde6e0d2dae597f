"""Stand for an installed package: entry points where Python looks for them, registries as they were afterwards."""

import sys
from pathlib import Path
from typing import Any

import pytest

from distal.features import FEATURES
from distal.losses import ADVERSARIAL, REGULARIZERS
from distal.metrics import METRICS
from distal.models import MODELS
from distal.nets import NETWORKS
from distal.oracle import ORACLES
from distal.query import STRATEGIES
from distal.registry import Registry
from distal.train.augment import AUGMENTATIONS
from distal.train.latents import SELECTORS
from distal.train.optimizers import OPTIMIZERS
from distal.train.schedules import SCHEDULES

REGISTRIES: tuple[Registry[Any], ...] = (
    STRATEGIES,
    REGULARIZERS,
    ADVERSARIAL,
    AUGMENTATIONS,
    NETWORKS,
    MODELS,
    METRICS,
    FEATURES,
    ORACLES,
    OPTIMIZERS,
    SCHEDULES,
    SELECTORS,
)
EXTENSIONS = Path(__file__).parent / "extensions"
"""A file for each extension point."""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, points: dict[str, dict[str, str]]) -> None:
    """Install a package with these entry points, by group and name, until the test ends."""
    metadata = folder / "added_to_distal-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: added-to-distal\nVersion: 1.0\n")
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in named.items()) for group, named in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    monkeypatch.syspath_prepend(str(folder))
    for path in EXTENSIONS.glob("*.py"):  # what registers itself does so when it is imported
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    for registry in REGISTRIES:
        monkeypatch.setattr(registry, "entries", dict(registry.entries))

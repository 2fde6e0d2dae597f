"""Open what a run has learned: the configuration, class names and weights of a committed round, without Ray."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml

from distal.config import Config
from distal.errors import ConfigError, RunError
from distal.resolve import make_config
from distal.rundir import RunDirectory, round_path
from distal.streams import normal
from distal.train.state import TrainState

GENERATE_BATCH = 256


@dataclass(frozen=True)
class SavedRun:
    """Hold the configuration that a run was started with and the facts that its images gave."""

    config: Config
    resolved: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names in label order."""
        return tuple(self.resolved["classes"])


def read_saved(run: RunDirectory) -> SavedRun:
    """Read a run's config.yaml back.

    Raises:
        RunError: there is no run, or its config.yaml is not one of ours.
    """
    if not run.exists():
        raise RunError(f"{run.uri}: there is no run here (no config.yaml).\nGive <storage>/<name> of an existing run.")
    tree = yaml.safe_load(run.read("config.yaml"))
    if not isinstance(tree, dict) or not isinstance(tree.get("resolved"), dict):
        raise RunError(f"{run.uri}/config.yaml: has no 'resolved' section, so it was not written by distal.")
    resolved = tree.pop("resolved")
    return SavedRun(make_config(tree), resolved)


@dataclass(frozen=True)
class TrainedGenerator:
    """Generate images of asked classes from the weights of one committed round."""

    saved: SavedRun
    state: TrainState
    round: int

    def images(self, labels: npt.NDArray[np.int64], seed: int = 0) -> npt.NDArray[np.uint8]:
        """Generate one image for each label.

        Args:
            labels: int64 [n] class indices. seed: names the latents; image i depends on seed, i and its label alone.

        Returns:
            uint8 [n, C, H, W].
        """
        parts = []
        for start in range(0, len(labels), GENERATE_BATCH):
            block = torch.from_numpy(labels[start : start + GENERATE_BATCH])
            shape = (GENERATE_BATCH, self.saved.config.net.latent_dim)
            latents = normal(shape, seed, "generate", start // GENERATE_BATCH)[: len(block)]
            parts.append(self.state.generate(latents, block).cpu().numpy())
        size, channels = self.saved.resolved["image_size"], self.saved.resolved["channels"]
        return np.concatenate(parts) if parts else np.zeros((0, channels, size, size), np.uint8)

    def class_index(self, name: str) -> int:
        """Return the label of a class given by name or by number.

        Raises:
            ConfigError: no such class.
        """
        classes = self.saved.classes
        if name in classes:
            return classes.index(name)
        if name.isdigit() and int(name) < len(classes):
            return int(name)
        raise ConfigError(f"class '{name}' is unknown.\nKnown: {', '.join(classes)}.")


def open_generator(run: RunDirectory, round: int | None = None) -> TrainedGenerator:
    """Load the generator of a committed round, the last one by default, verifying the hashes of its files.

    Raises:
        RunError: no such run or round, or files that do not fit their hashes.
    """
    saved = read_saved(run)
    committed = run.committed()
    if not committed:
        raise RunError(f"{run.uri}: no round is committed yet, so there is nothing to generate from.")
    chosen = committed[-1] if round is None else round
    if chosen not in committed:
        raise RunError(f"{run.uri}: round {chosen} is not committed. Committed: {committed[0]} to {committed[-1]}.")
    folder = round_path(chosen, "checkpoint")
    files = {name: run.read(f"{folder}/{name}") for name in run.list(folder) if name != "losses.json"}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedGenerator(saved, TrainState.from_files(saved.config, files, device), chosen)

"""Open what a run has learned: the configuration, class names and weights of a committed round, without Ray."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml

from distal.config import Config
from distal.errors import ConfigError, RunError, nearest_name
from distal.models import Model, get_model
from distal.moved import follow_moved
from distal.resolve import NOT_YAML, make_config
from distal.rundir import CONFIG, RunDirectory, round_path
from distal.train.latents import BLOCK, asked_latents

RESOLVED = frozenset(("distal", "fingerprint", "reference_fingerprint", "rows", "image_size", "channels", "classes"))
"""What config.yaml keeps under `resolved`."""


@dataclass(frozen=True)
class SavedRun:
    """Hold the configuration that a run was started with and the facts that its images gave."""

    config: Config
    resolved: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the class names in label order."""
        return tuple(self.resolved["classes"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return image size, channels and the number of classes."""
        return self.resolved["image_size"], self.resolved["channels"], len(self.classes)


def read_saved(run: RunDirectory) -> SavedRun:
    """Read a run's config.yaml back.

    Raises:
        RunError: there is no run, or its config.yaml is not one of ours.
    """
    if not run.exists():
        raise RunError(f"{run.uri}: there is no run here (no config.yaml).\nGive <storage>/<name> of an existing run.")
    try:
        tree = yaml.safe_load(run.read(CONFIG))
    except NOT_YAML as error:
        raise _damaged(run, f"is not valid YAML ({' '.join(str(error).split())[:150]})") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("resolved"), dict):
        raise _damaged(run, "has no 'resolved' section, so it was not written by distal")
    resolved = tree.pop("resolved")
    missing = RESOLVED - resolved.keys()
    if missing:
        raise _damaged(run, f"lacks {', '.join(sorted(missing))} under 'resolved'")
    wrong = sorted(name for name in RESOLVED if not _fits(name, resolved[name]))
    if wrong:
        raise _damaged(run, f"holds what distal never writes under 'resolved': {', '.join(wrong)}")
    try:
        return SavedRun(make_config(follow_moved(tree)), resolved)
    except ConfigError as error:
        raise _damaged(run, f"is refused: {str(error).partition(chr(10))[0]}") from None


def _fits(name: str, value: Any) -> bool:
    """Say whether a value under `resolved` is one that distal writes."""
    if name == "classes":
        return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
    if name in ("rows", "image_size", "channels"):
        allowed = {"rows": range(2**63), "image_size": (8, 16, 32, 64), "channels": (1, 3)}[name]
        return type(value) is int and value in allowed
    return isinstance(value, str)


def _damaged(run: RunDirectory, what: str) -> RunError:
    return RunError(f"{run.place(CONFIG)}: {what}.\nRestore the file from a copy; nothing else of the run was touched.")


@dataclass(frozen=True)
class TrainedGenerator:
    """Generate images of asked classes from the weights of one committed round."""

    saved: SavedRun
    state: Model
    round: int

    def images(self, labels: npt.NDArray[np.int64], seed: int = 0) -> npt.NDArray[np.uint8]:
        """Generate one image for each label.

        Args:
            labels: int64 [n] class indices. seed: names the latents; image i depends on seed, i and its label alone.

        Returns:
            uint8 [n, C, H, W].
        """
        parts = []
        for start in range(0, len(labels), BLOCK):
            block = torch.from_numpy(labels[start : start + BLOCK])
            latents = asked_latents(seed, start // BLOCK, self.saved.config.net.latent_dim)[: len(block)]
            parts.append(self.state.generate(latents, block).cpu().numpy())
        size, channels = self.saved.resolved["image_size"], self.saved.resolved["channels"]
        return np.concatenate(parts) if parts else np.zeros((0, channels, size, size), np.uint8)

    def class_index(self, name: str | int | np.integer[Any]) -> int:
        """Return the label of a class given by name, by its number in digits where no class has that name, or by int.

        Raises:
            ConfigError: no such class.
        """
        classes = self.saved.classes
        if name in classes:
            return classes.index(str(name))
        if str(name).isdecimal() and int(name) < len(classes):
            return int(name)
        hint = nearest_name(str(name), classes)
        raise ConfigError(f"class '{name}' is unknown{'; ' + hint if hint else '.'}\nKnown: {', '.join(classes)}.")


def open_generator(run: RunDirectory, round: int | None = None) -> TrainedGenerator:
    """Load the generator of a committed round, the last one by default, verifying the hashes of its files.

    Raises:
        RunError: no such run or round, or files that do not fit their hashes.
    """
    saved = read_saved(run)
    committed = run.committed()
    if not committed:
        raise RunError(
            f"{run.uri}: no round is committed yet, so there is nothing to generate from.\n"
            f"Finish a round first: distal resume {run.uri}"
        )
    chosen = committed[-1] if round is None else round
    if chosen not in committed:
        raise RunError(
            f"{run.uri}: round {chosen} is not committed.\nCommitted: {committed[0]} to {committed[-1]}; "
            f"leave --round out for the last."
        )
    folder = round_path(chosen, "checkpoint")
    files = {name: run.read(f"{folder}/{name}") for name in run.list(folder) if name != "losses.json"}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        state = get_model(saved.config.model.kind).from_files(saved.config, files, device, saved.shape)
    except RunError as error:
        raise RunError(f"{run.uri}, round {chosen}: {error}") from None
    return TrainedGenerator(saved, state, chosen)

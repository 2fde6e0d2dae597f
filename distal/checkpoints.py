"""Keep and open what a run has learned: its configuration, class names, and the weights of a round, without Ray."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import Tensor

from distal.config import Config, ImageSize
from distal.config.moved import follow_moved
from distal.config.training import LEAST_IMAGES, MOST_IMAGES
from distal.errors import ConfigError, RunError, nearest_name
from distal.models import MODELS, Judging, Model
from distal.resolve import parse_config
from distal.run.directory import CONFIG, RunDirectory, round_path
from distal.run.seals import DIGEST, is_sealed_yaml, sha256, tree_digest, with_digest
from distal.train.latents import BLOCK, Chosen, asked_latents, asked_uniforms
from distal.tree import NOT_YAML
from distal.version import __version__

logger = logging.getLogger(__name__)

LOSSES, MANIFEST = "losses.json", "manifest.json"
RESOLVED = frozenset(("distal", "fingerprint", "reference_fingerprint", "rows", "image_size", "channels", "classes"))
"""What config.yaml keeps under `resolved`."""

BATCH = "batch_size"
"""Images of the run's global batch, there as well; a run of an older distal has them among its keys."""


@dataclass(frozen=True)
class SavedRun:
    """Hold the configuration that a run was started with, as it was given, and the facts that were found then."""

    given: Config
    resolved: Mapping[str, Any]

    @property
    def config(self) -> Config:
        """Return the configuration with the global batch that the run began with, whatever workers it has now."""
        train = self.given.train.settled(self.resolved.get(BATCH))
        return self.given.model_copy(update={"train": train})

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
        RunError: there is no run, or its config.yaml is not one of ours, or was changed by hand.
    """
    if not run.exists():
        raise RunError(f"{run.uri}: there is no run here (no config.yaml).\nGive <storage>/<name> of an existing run.")
    data = run.read(CONFIG)
    try:
        tree = yaml.safe_load(data)
    except NOT_YAML as error:
        raise _damaged(run, f"is not valid YAML ({' '.join(str(error).split())[:150]})") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("resolved"), dict):
        raise _damaged(run, "has no 'resolved' section, so it was not written by distal")
    resolved = tree.pop("resolved")
    if resolved.pop(DIGEST, None) is not None and not is_sealed_yaml(data):
        raise RunError(
            f"{run.place(CONFIG)}: was changed after distal wrote it (its digest does not fit).\n"
            f"Undo that, or restore a copy. What may change is given to: distal resume {run.uri} KEY=VALUE\n"
            "Any other configuration is a run of its own, under another name=..."
        )
    missing = RESOLVED - resolved.keys()
    if missing:
        raise _damaged(run, f"lacks {', '.join(sorted(missing))} under 'resolved'")
    wrong = sorted(name for name in {*RESOLVED, BATCH} & resolved.keys() if not _fits(name, resolved[name]))
    if wrong:
        raise _damaged(run, f"holds what distal never writes under 'resolved': {', '.join(wrong)}")
    if _numbers(resolved["distal"]) > _numbers(__version__):
        _warn_newer(run.uri, resolved["distal"])
    try:
        return SavedRun(parse_config(follow_moved(tree)), resolved)
    except ConfigError as error:
        raise _damaged(run, f"is refused: {str(error).partition(chr(10))[0]}") from None


def _fits(name: str, value: Any) -> bool:
    """Say whether a value under `resolved` is one that distal writes."""
    if name == "classes":
        return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
    if name in ("rows", "image_size", "channels", BATCH):
        images = range(LEAST_IMAGES, MOST_IMAGES + 1)
        allowed = {"rows": range(2**63), "image_size": get_args(ImageSize), "channels": (1, 3), BATCH: images}[name]
        return type(value) is int and value in allowed
    return isinstance(value, str)


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall("[0-9]{1,9}", version)]


@cache
def _warn_newer(place: str, version: str) -> None:
    """Say once in a process that a newer distal wrote a run."""
    logger.warning(
        "%s was written by distal %s, this is %s: what is new there is not understood", place, version, __version__
    )


def _damaged(run: RunDirectory, what: str) -> RunError:
    return RunError(f"{run.place(CONFIG)}: {what}.\nRestore the file from a copy; nothing else of the run was touched.")


def write_checkpoint(run: RunDirectory, round: int, state: Model, losses: Mapping[str, float]) -> None:
    """Write what a round's training left: its manifest last, for it says that all is there, and of which round."""
    files = {LOSSES: (json.dumps(losses, indent=1, allow_nan=False) + "\n").encode()} | state.to_files()
    manifest = json.loads(files.pop(MANIFEST)) | {"round": round}
    manifest["sha256"][LOSSES] = sha256(files[LOSSES])
    files[MANIFEST] = json.dumps(with_digest(manifest), indent=2, sort_keys=True).encode()
    for name, data in files.items():
        run.write(round_path(round, "checkpoint", name), data)


def has_checkpoint(run: RunDirectory, round: int) -> bool:
    """Say whether a round was trained; also where the checkpoint that it was committed with has been lost."""
    path = round_path(round, "checkpoint", MANIFEST)
    return run.has(path) or run.sealed(path) is not None


def trained_before(run: RunDirectory, round: int) -> Iterator[int]:
    """Yield the rounds before this one that were trained, the newest first."""
    return (each for each in range(round - 1, 0, -1) if has_checkpoint(run, each))


def last_trained(run: RunDirectory, round: int) -> int | None:
    """Return the round whose model stands after this one: it or the last one before that was trained, if any was."""
    return next(trained_before(run, round + 1), None)


def read_checkpoint(run: RunDirectory, round: int) -> dict[str, bytes]:
    """Return the files of a round's checkpoint by name, for `Model.from_files`.

    Raises:
        RunError: the manifest is damaged or of another round. StorageError: a file is not what was committed.
    """
    folder = round_path(round, "checkpoint")
    files = {name: run.read(f"{folder}/{name}") for name in run.list(folder)}
    try:
        manifest = json.loads(files.get(MANIFEST, b""))
        fits = manifest.get(DIGEST) in (None, tree_digest(manifest)) and manifest.get("round", round) == round
    except (ValueError, AttributeError, RecursionError):
        fits = False
    if not fits:
        raise _unlike(run, f"{folder}/{MANIFEST}", "damaged, or of another round")
    return files


def read_losses(run: RunDirectory, round: int, files: Mapping[str, bytes]) -> dict[str, float]:
    """Return the mean losses of a round from the files of its checkpoint.

    Raises:
        RunError: they are none.
    """
    try:
        losses = {str(name): float(value) for name, value in json.loads(files.get(LOSSES, b"")).items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        raise _unlike(run, round_path(round, "checkpoint", LOSSES), "no JSON of losses") from None
    return losses


def _unlike(run: RunDirectory, path: str, what: str) -> RunError:
    return RunError(
        f"{run.place(path)} is missing, {what}.\n"
        "Restore the folder checkpoint from a copy; or, in the last round, delete it and COMMITTED:\n"
        "distal resume then trains that round again with the labels that it has."
    )


@dataclass(frozen=True)
class TrainedGenerator:
    """Generate images of asked classes from the weights of one committed round."""

    saved: SavedRun
    state: Model
    round: int

    def images(
        self,
        labels: npt.NDArray[np.int64],
        seed: int = 0,
        selector: Chosen | None = None,
        first: int = 0,
    ) -> npt.NDArray[np.uint8]:
        """Generate one image for each label.

        Args:
            labels: int64 [n] class indices. seed: names the latents; image i depends on seed, first + i and its label
                alone. selector: chooses the latents; None leaves them as they are drawn. first: the ordinal of the
                first latent, a multiple of BLOCK.

        Returns:
            uint8 [n, C, H, W].

        Raises:
            ConfigError: the selector asks for a discriminator that this model has not.
        """
        parts = []
        for start in range(0, len(labels), BLOCK):
            block = torch.from_numpy(labels[start : start + BLOCK])
            number = (first + start) // BLOCK
            latents = asked_latents(seed, number, self.saved.config.net.latent_dim)[: len(block)]
            if selector is not None:
                latents = self._chosen(selector, latents, block, seed, number)
            parts.append(self.state.generate(latents, block).cpu().numpy())
        size, channels = self.saved.resolved["image_size"], self.saved.resolved["channels"]
        return np.concatenate(parts) if parts else np.zeros((0, channels, size, size), np.uint8)

    def _chosen(self, selector: Chosen, latents: Tensor, labels: Tensor, seed: int, block: int) -> Tensor:
        """Return what a selector makes of the latents of block number `block`."""
        model = self.state if isinstance(self.state, Judging) else None
        classes = labels if model is None else model.conditions(labels)
        latents = latents.to(self.state.device)
        feedback = None if model is None else model.feedback()
        rows = len(latents)
        return selector.latents(
            latents, classes, feedback, lambda name, draws: asked_uniforms(seed, block, name, draws)[:rows]
        )

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
    """Load the generator that stands after a committed round, the last one by default; its `round` trained it.

    The hashes of its files are verified.

    Raises:
        RunError: no such run or round, or files that do not fit the manifest. StorageError: or the seal of the round.
    """
    saved = read_saved(run)
    committed = run.committed()
    if not committed:
        raise RunError(
            f"{run.uri}: no round is committed yet, so there is nothing to generate from.\n"
            f"Wait for the first round of the run that is at work, or go on with it: distal resume {run.uri}"
        )
    asked = committed[-1] if round is None else round
    if asked not in committed:
        raise RunError(
            f"{run.uri}: round {asked} is not committed.\nCommitted: {committed[0]} to {committed[-1]}; "
            f"leave --round out for the last."
        )
    chosen = last_trained(run, asked)
    if chosen is None:
        raise RunError(
            f"{run.uri}: no round up to {asked} has trained (train.every={saved.config.train.every}).\n"
            f"Go on to one that does: distal resume {run.uri}; with train.every=1 behind it the next round does."
        )
    files = read_checkpoint(run, chosen)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        state = MODELS.find(saved.config.model.kind).from_files(saved.config, files, device, saved.shape)
    except RunError as error:
        raise RunError(f"{run.uri}, round {chosen}: {error}") from None
    return TrainedGenerator(saved, state, chosen)

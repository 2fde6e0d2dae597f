"""Choose generated images that are worth training on: of the class asked, no copies, no repetitions.

Whether an image is of its class a judge says that took no part in making it: the probe, which learned from the labels
by frozen features, calibrated, without a look at the held-out images. What is too close to a training image
(`distal.metrics.copies`) is left out, and what is closer to an image that was chosen before than real images are to one
another. More are generated until there are as many as wanted, or too few of them pass.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distal.checkpoints import TrainedGenerator
from distal.communicator import Alone
from distal.driver.known import Images, Known, learned_from
from distal.driver.preparation import Preparation
from distal.errors import EvaluationError
from distal.features.probe import Probe
from distal.metrics.copies import CHANCE, Seen, find_copies
from distal.metrics.neighbours import radii
from distal.prove.arms import wanted
from distal.run.directory import RunDirectory
from distal.run.given import read_given
from distal.train.latents import BLOCK, find_selector
from distal.train.latents import Chosen as LatentChoice

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

PER_CLASS = 10
SURE = 0.5
"""The least probability of the class asked, as the judge sees it."""

TRIES = 10
"""Images that are generated for each one wanted, at most."""


@dataclass(frozen=True)
class Chosen:
    """Hold generated images with where they come from.

    images: uint8 [n, C, S, S]. labels: int64 [n]. latents: int64 [n], the ordinal of each image's latent in its seed's
    stream. confidence: float64 [n], the judge's probability of the class. closeness: float64 [n], to training, below 1
    for a copy. Both NaN where nothing was filtered. notes: what is missing, class by class, and why. features: float32
    [n, d], what the judge saw of them; None where nothing was filtered.
    """

    images: Images
    labels: Ints
    latents: Ints
    confidence: Doubles
    closeness: Doubles
    notes: tuple[str, ...] = ()
    features: Tensor | None = None


@dataclass
class _Class:
    """Collect what passed of one class, and why the others did not."""

    wanted: int
    kept: list[int] = field(default_factory=list)
    features: list[Tensor] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def missing(self) -> int:
        return self.wanted - len(self.kept)


def choose(
    run: RunDirectory,
    generator: TrainedGenerator,
    asked: Sequence[int],
    per_class: int | None,
    seed: int,
    latents: str,
    balance: bool,
    filter: bool,
    listen: Callable[[str], None],
) -> Chosen:
    """Generate images of the asked classes, as many of each as wanted.

    latents: how they are chosen, by name: see `distal.train.latents`. per_class: images of a class, None for PER_CLASS;
    with balance, of its images and labels together, None for twice the labels of the largest class. filter: leave out
    what is not worth training on.

    Raises:
        ConfigError: no such choice of latents. RunError, PoolError: the pool, which a filter looks at, is not there or
            another one.
        EvaluationError: fewer than two classes have labels to filter or balance by.
    """
    classes = len(generator.saved.classes)
    counts = np.full(classes, PER_CLASS if per_class is None else per_class, np.int64)
    if balance:
        _, labels = learned_from(run, generator, read_given(run, generator.saved.resolved.get("given")))
        counts = wanted(labels, classes, per_class)
    counts[~np.isin(np.arange(classes), asked)] = 0
    selector = find_selector(latents, "--latents")
    if not filter:
        return unfiltered(generator, counts, seed, selector)
    listen("looking at the pool")
    opened = Preparation(generator.saved.config, run)
    opened.require_same_images(run, generator.saved)
    chosen = filtered(Known.of(run, opened, generator, tested=False), counts, seed, selector, listen)
    if counts.any() and not len(chosen.images):
        raise EvaluationError(
            "no image passes the filter:\n"
            + "\n".join(chosen.notes)
            + "\nTrain longer, label more, or leave --filter out."
        )
    return chosen


def unfiltered(generator: TrainedGenerator, counts: Ints, seed: int, selector: LatentChoice | None) -> Chosen:
    """Take images as they come, counts int64 [K] of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    unknown = np.full(len(labels), np.nan)
    return Chosen(generator.images(labels, seed, selector), labels, np.arange(len(labels)), unknown, unknown)


def filtered(
    known: Known,
    counts: Ints,
    seed: int,
    selector: LatentChoice | None,
    listen: Callable[[str], None],
    begun: Seen | None = None,
) -> Chosen:
    """Generate until counts int64 [K] of each class have passed, or TRIES times as many were generated.

    begun: the first counts.sum() images, class by class, where somebody has looked at them already.
    """
    names, generator = known.generator.saved.classes, known.generator
    training, held_out = known.training, known.held_out
    judge = Probe.fit(training.features[: len(known.labels)], known.labels, len(names), None, known.opened.config.seed)
    apart = usual_distance(held_out.features)
    classes = [_Class(int(count)) for count in counts]
    parts = [replace(unfiltered(generator, np.zeros_like(counts), seed, selector), features=training.features[:0])]
    first = made = 0
    while any(each.missing for each in classes) and made < TRIES * counts.sum():
        listen(f"generating, for {sum(each.missing for each in classes):,} of {int(counts.sum()):,} images are missing")
        labels = np.repeat(np.arange(len(counts)), [each.missing for each in classes])
        seen = begun or known.look_at(generator.images(labels, seed, selector, first))
        begun, images = None, seen.pixels.numpy()
        sure = judge.probs(seen.features).double().numpy()[np.arange(len(labels)), labels]
        copies = find_copies(seen, held_out, training)
        kept = []
        for i, label in enumerate(labels.tolist()):
            each = classes[label]
            why = _refused(sure[i], bool(copies.copied[i]), seen.features[i], each, apart)
            if why is None:
                each.kept.append(i)
                each.features.append(seen.features[i])
                kept.append(i)
            else:
                each.refused[why] += 1
        rows = np.array(kept, np.int64)
        found = images[rows], labels[rows], first + rows, sure[rows], copies.closeness[rows]
        parts.append(Chosen(*found, features=seen.features[torch.from_numpy(rows)]))
        made += len(labels)
        first += -(-len(labels) // BLOCK) * BLOCK
    notes = [_note(name, each) for name, each in zip(names, classes, strict=True) if each.missing]
    return _by_class(parts, notes)


def usual_distance(held_out: Tensor) -> float:
    """Return the distance [n, d] within which CHANCE of the real images have another one."""
    if len(held_out) < 2:
        return 0.0
    (squares,) = radii(held_out.double(), (1,), Alone())
    return float(np.quantile(squares.sqrt().cpu().numpy(), CHANCE))


def _refused(sure: float, copied: bool, features: Tensor, of_class: _Class, apart: float) -> str | None:
    """Say why an image is left out, None where it is not."""
    if sure < SURE:
        return "doubted by the judge"
    if copied:
        return "too close to a training image"
    others = of_class.features
    if others and float((torch.stack(others) - features).square().sum(1).min().sqrt()) <= apart:
        return "too close to another one"
    return None


def _note(name: str, of_class: _Class) -> str:
    why = ", ".join(f"{count} {reason}" for reason, count in of_class.refused.most_common())
    advice = "" if of_class.kept else ": train longer, label more of it, or leave the filter out"
    return f"{name}: {len(of_class.kept)} of {of_class.wanted} images pass ({why}){advice}"


def _by_class(parts: Sequence[Chosen], notes: Sequence[str]) -> Chosen:
    """Put the images of all passes together, class by class."""
    labels = np.concatenate([part.labels for part in parts])
    order = np.argsort(labels, kind="stable")
    return Chosen(
        np.concatenate([part.images for part in parts])[order],
        labels[order],
        np.concatenate([part.latents for part in parts])[order],
        np.concatenate([part.confidence for part in parts])[order],
        np.concatenate([part.closeness for part in parts])[order],
        tuple(notes),
        torch.cat([part.features for part in parts if part.features is not None])[torch.from_numpy(order)],
    )

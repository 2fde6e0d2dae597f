"""Train the gate's second classifier: a small convolutional network from scratch, as one would without frozen features.

It sees pixels at the run's size. Every set gets as many updates, each class is drawn equally often, and all sets but
the labels alone are varied anew in every batch (shifts, brightness; flips where the run trains with them). Nothing is
chosen on held-out images, so both halves of them are told alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from distal import streams
from distal.metrics.pool_cnn import PoolCNN
from distal.nets import uncompiled
from distal.nets.weights import initialised
from distal.prove.arms import Doubles, Examples, Ints
from distal.prove.classifier import Bools, Floats
from distal.train.augment import AUGMENTATIONS, augment, draws

STEPS = 600
"""With 200, images that are varied anew are not learned: tiles, 200 labels, 0.61 balanced accuracy; with 600, 0.74."""
BATCH = 32
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 1e-2
WARM_UP = 20
SMOOTHING = 0.05


class SmallNetwork:
    """Be trained on images uint8 [n, C, S, S].

    classes: K. varied: names of augmentations, none for the images as they are. seed: of the run and of the gate, which
    decide first weights, order and variations. Classes without an example are hardly ever said.
    """

    def __init__(
        self, train: Examples, classes: int, varied: Sequence[str], seed: tuple[int, int], device: str = "cpu"
    ) -> None:
        _, channels, side, _ = train.features.shape
        self._device = torch.device(device)
        network = initialised(lambda: PoolCNN(side, channels, classes), seed[0], "prove", "network", seed[1])
        self._network = network.to(self._device).train()
        chosen = [AUGMENTATIONS.find(name) for name in varied]
        members, shares = [np.flatnonzero(train.labels == c) for c in np.unique(train.labels)], train.shares()
        upto = [shares[rows].cumsum() for rows in members]
        optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        for step in range(STEPS):
            draw = streams.stream(seed[0], "prove", "network", seed[1], step)
            rows = _balanced(members, upto, draw)
            images = train.features[torch.from_numpy(rows)].to(self._device).float() / 127.5 - 1
            uniforms = torch.from_numpy(draw.random((BATCH, draws(chosen)), dtype=np.float32)).to(self._device)
            targets = torch.from_numpy(train.labels[rows]).to(self._device)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * min((step + 1) / WARM_UP, (1 + math.cos(math.pi * step / STEPS)) / 2)
            logits = self._logits((augment(images, uniforms, chosen) + 1) * 127.5)
            optimizer.zero_grad()
            torch.autograd.backward(cross_entropy(logits, targets, label_smoothing=SMOOTHING))
            uncompiled.step(optimizer)
        self._network.eval()

    @torch.no_grad()
    def probs(self, images: Tensor) -> Tensor:
        """Return class probabilities float64 [1, n, K] of images uint8 [n, C, S, S]."""
        said = [
            self._logits(part.to(self._device).float()).double().softmax(1).cpu() for part in torch.split(images, 256)
        ]
        return torch.cat(said)[None] if said else torch.zeros(1, 0, self._network.head.out_features).double()

    def held_out_probs(self, held_out: Examples, first: Bools) -> tuple[Floats, int]:
        """Return what is said of the held-out images [n, K]; there is one strength, the first."""
        found: npt.NDArray[np.float32] = self.probs(held_out.features)[0].float().numpy()
        return found, 0

    def _logits(self, images: Tensor) -> Tensor:
        return self._network.classify(self._network(images))


@dataclass(frozen=True)
class OnPixels:
    """Be the gate's learner of small networks. varied: names of augmentations. seed: the run's."""

    varied: tuple[str, ...]
    seed: int
    device: str

    def __call__(self, train: Examples, classes: int, varied: bool, seed: int) -> SmallNetwork:
        """Train one; see `Learner`."""
        return SmallNetwork(train, classes, self.varied if varied else (), (self.seed, seed), self.device)


def _balanced(members: Sequence[Ints], upto: Sequence[Doubles], draw: np.random.Generator) -> Ints:
    """Draw BATCH rows: a class, uniformly, then one of its rows by their shares, whose sums so far are `upto`."""
    classes, within = draw.integers(0, len(members), BATCH), draw.random(BATCH)
    places = [int((upto[c][:-1] <= u).sum()) for c, u in zip(classes, within, strict=True)]
    return np.array([members[c][place] for c, place in zip(classes, places, strict=True)])

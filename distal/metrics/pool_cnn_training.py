"""Train a small classifier on a reference split: seeded, in bounded time, from few and unbalanced images."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from distal.metrics.reference import IntArray, ReferenceSplit
from distal.nets import uncompiled
from distal.nets.threads import one_thread
from distal.streams import normal, row_uniforms, stream

RECIPE = 1  # raise it with any change to network or training: the cached weights of old recipes are then left alone
STEPS = (300, 1200)  # at least and at most; between them an eighth of the images
BATCH = 64
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 1e-2
WARM_UP = 30  # steps
REPORT_STEPS = 20
LABEL_SMOOTHING = 0.05
KEPT_OUT = 0.2  # fraction of the images that measures the accuracy


def train(
    network: nn.Module,
    split: ReferenceSplit,
    labels: bool,
    device: torch.device,
    listen: Callable[[int, int], None] = lambda done, steps: None,
) -> tuple[float, float]:
    """Train in place; return accuracy and balanced accuracy (mean recall) on images that were kept out.

    labels: learn the split's labels, each class drawn equally often; else learn quarter turns. A fifth of the images
    is kept out for measuring, then the network is trained again from the start on all of them. Random numbers come from
    named streams of seed 0 and the CPU's sums from one thread, so the weights depend on the split (and the hardware's
    rounding) alone. listen: called every REPORT_STEPS steps with those done and those in all.
    """
    rows = np.flatnonzero(split.labels >= 0) if labels else np.arange(len(split))
    kept_out = row_uniforms(split.row_ids[rows], 0, "pool-cnn", "kept out") < KEPT_OUT
    if kept_out.all() or not kept_out.any():
        kept_out = np.arange(len(rows)) % 5 == 0
    first, second = _steps(rows[~kept_out]), _steps(rows)
    with one_thread():
        _fit(network, split, rows[~kept_out], labels, device, lambda done: listen(done, first + second))
        accuracy = _accuracy(network, split, rows[kept_out], labels, device)
        _fit(network, split, rows, labels, device, lambda done: listen(first + done, first + second))
    return accuracy


def _steps(rows: IntArray) -> int:
    return int(np.clip(len(rows) // 8, *STEPS))


def _fit(
    network: nn.Module,
    split: ReferenceSplit,
    rows: IntArray,
    labels: bool,
    device: torch.device,
    listen: Callable[[int], None],
) -> None:
    """Train from the start on the positions `rows` of the split."""
    _initialize(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    members = [rows[split.labels[rows] == c] for c in np.unique(split.labels[rows])] if labels else [rows]
    steps = _steps(rows)
    network.train()
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for step in range(steps):
            rng = stream(0, "pool-cnn", RECIPE, step)
            positions = _balanced(members, rng)
            images, targets = _task(split, positions, labels, rng.integers(0, 4, BATCH), device)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * _schedule(step, steps)
            logits = _logits(network, _augment(images, rng))
            loss = functional.cross_entropy(logits, targets, label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            uncompiled.step(optimizer)
            if (step + 1) % REPORT_STEPS == 0 or step + 1 == steps:
                listen(step + 1)
    network.eval()


def _task(
    split: ReferenceSplit, positions: IntArray, labels: bool, turns: IntArray, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return images uint8 [n, C, S, S] and targets int64 [n]: their labels, or the quarter turns given to them."""
    images = split.pixels(positions, device)
    if labels:
        return images, torch.from_numpy(split.labels[positions]).to(device)
    targets = torch.from_numpy(turns).to(device)
    return quarter_turns(images, targets), targets


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Turn each square image [N, C, S, S] by its number of quarter turns, int64 [N] in 0..3."""
    turned = torch.stack([images, *(images.rot90(k, (2, 3)) for k in (1, 2, 3))])
    return turned[turns, torch.arange(len(images), device=images.device)]


def _initialize(network: nn.Module) -> None:
    """Draw weights by He et al. 2015 from named streams; norms start as identities, biases at zero."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            deviation = math.sqrt(2 / module.weight[0].numel())
            weight = normal(tuple(module.weight.shape), 0, "pool-cnn", RECIPE, name) * deviation
            with torch.no_grad():
                module.weight.copy_(weight)
                if module.bias is not None:
                    module.bias.zero_()
        elif isinstance(module, nn.GroupNorm):
            module.reset_parameters()


def _balanced(members: list[IntArray], rng: np.random.Generator) -> IntArray:
    """Draw BATCH positions: a class uniformly, then one of its images uniformly."""
    classes = rng.integers(0, len(members), BATCH)
    within = rng.random(BATCH)
    return np.array([members[c][int(u * len(members[c]))] for c, u in zip(classes, within, strict=True)])


def _augment(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift each image by up to an eighth of its side, the border repeated, and vary its contrast and noise a little.

    Generated images are shifted and noisy too; a judge that has seen neither would mistake them.
    """
    n, channels, side, _ = images.shape
    reach = side // 8
    shift = torch.from_numpy(rng.integers(-reach, reach + 1, (2, n))).to(images.device)
    grid = torch.arange(side, device=images.device)
    y, x = ((grid + s[:, None]).clamp(0, side - 1) for s in shift)
    sample = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[:, None, None]
    moved = images[sample, channel, y[:, None, :, None], x[:, None, None, :]].float()
    contrast = torch.from_numpy(rng.uniform(0.8, 1.2, (n, 1, 1, 1)).astype(np.float32)).to(images.device)
    noise = torch.from_numpy(rng.standard_normal(images.shape, dtype=np.float32)).to(images.device)
    return ((moved - 127.5) * contrast + 127.5 + 5 * noise).clamp(0, 255)


def _schedule(step: int, steps: int) -> float:
    """Rise linearly, then fall with half a cosine to zero."""
    return min((step + 1) / WARM_UP, (1 + math.cos(math.pi * step / steps)) / 2)


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = network.classify(network(images))  # type: ignore[operator]
    return logits


@torch.no_grad()
def _accuracy(
    network: nn.Module, split: ReferenceSplit, rows: IntArray, labels: bool, device: torch.device
) -> tuple[float, float]:
    """Return accuracy and mean recall over the classes present among these positions."""
    right, wanted = [], []
    for start in range(0, len(rows), 256):
        positions = rows[start : start + 256]
        images, targets = _task(split, positions, labels, positions % 4, device)
        right.append((_logits(network, images).argmax(1) == targets).cpu().numpy())
        wanted.append(targets.cpu().numpy())
    correct, classes = np.concatenate(right), np.concatenate(wanted)
    recalls = [correct[classes == c].mean() for c in np.unique(classes)]
    return float(correct.mean()), float(np.mean(recalls))

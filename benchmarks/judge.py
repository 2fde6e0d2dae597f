"""A judge of classes that has nothing to do with any frozen network: a small residual CNN, learned from all labels."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, BATCH, RATE = 32, 64, 4e-3


class Block(nn.Module):
    """Halve the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.b = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.na, self.nb = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = self.nb(self.b(F.relu(self.na(self.a(x)))))
        return F.relu(h + F.avg_pool2d(self.shortcut(x), 2, ceil_mode=True))


class Judge(nn.Module):
    """Map images [n, C, H, W] in [-1, 1] to features [n, 256], means and maxima of a map, and to class logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, WIDTH, 5, 2, 2, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.blocks = nn.Sequential(Block(WIDTH, WIDTH), Block(WIDTH, 2 * WIDTH), Block(2 * WIDTH, 4 * WIDTH))
        self.head = nn.Linear(8 * WIDTH, classes)

    def features(self, images: Tensor) -> Tensor:
        h = self.blocks(self.stem(images))
        return torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(F.dropout(self.features(images), 0.3, self.training))
        return logits


def unit(pixels: np.ndarray) -> Tensor:
    """Return uint8 [n, C, H, W] as float in [-1, 1]."""
    return torch.from_numpy(pixels).float().div(127.5).sub(1)


def learn(pixels: np.ndarray, labels: np.ndarray, steps: int, upside_down: bool, seed: int = 0) -> Judge:
    """Train a judge; upside_down: an image stays of its class when it is flipped that way too."""
    torch.manual_seed(seed)
    x, y = unit(pixels), torch.from_numpy(labels)
    judge = Judge(x.shape[1], int(y.max()) + 1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(judge.parameters(), RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    weights = torch.bincount(y).float()[y] ** -0.8
    for _ in range(steps):
        rows = torch.multinomial(weights, BATCH)
        views = _augment(x[rows], upside_down).contiguous(memory_format=torch.channels_last)
        loss = F.cross_entropy(judge(views), y[rows], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge.eval().requires_grad_(False)


def kept(path: Path, pixels: np.ndarray, labels: np.ndarray, steps: int, upside_down: bool) -> Judge:
    """Return the judge in this file, which is trained and written where it is not there."""
    if not path.exists():
        torch.save(learn(pixels, labels, steps, upside_down).state_dict(), path)
    judge = Judge(pixels.shape[1], int(labels.max()) + 1)
    judge.load_state_dict(torch.load(path, weights_only=True))
    return judge.eval().requires_grad_(False)


def _augment(x: Tensor, upside_down: bool) -> Tensor:
    def coin() -> Tensor:
        return torch.rand(len(x), 1, 1, 1)

    x = torch.where(coin() < 0.5, x.flip(3), x)
    if upside_down:
        x = torch.where(coin() < 0.5, x.flip(2), x)
    x = x * (0.8 + 0.4 * coin()) + 0.3 * coin() - 0.15
    reach = x.shape[-1] // 10
    side, padded = x.shape[-1], F.pad(x, [reach] * 4, mode="reflect")
    corners = torch.randint(0, 2 * reach + 1, (len(x), 2)).tolist()
    return torch.stack([p[:, a : a + side, b : b + side] for p, (a, b) in zip(padded, corners, strict=True)])

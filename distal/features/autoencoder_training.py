"""Train an autoencoder on a sample of the pool: seeded, in bounded time, to undo noise (Vincent et al. 2008)."""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distal.data.protocol import Ids
from distal.features.network import PoolSample, resized
from distal.nets import uncompiled
from distal.nets.threads import one_thread
from distal.streams import row_uniforms, stream

RECIPE = 1  # raise it with any change to network or training: the kept weights of old recipes are then left alone
SAMPLE = 4096  # images of the pool, at most
STEPS = 800
BATCH = 64
READ = 256  # images at a time
LEARNING_RATE = 4e-3
WARM_UP = 30  # steps
NOISE = 0.2  # standard deviation, where white less black is 2
REPORT_STEPS = 20


def sampled(row_ids: Ids) -> Ids:
    """Return at most SAMPLE of the row ids, int64, ascending, chosen by their hash: the same whatever the order."""
    rows = np.unique(row_ids)
    order = np.argsort(row_uniforms(rows, 0, "autoencoder"), kind="stable")
    return np.sort(rows[order[:SAMPLE]])


def to_side(images: Tensor, side: int) -> Tensor:
    """Return images uint8 [n, C, S, S] as float32 [n, C, side, side] in [-1, 1]."""
    return resized(images, side) / 127.5 - 1


def train(
    network: nn.Module, pool: PoolSample, side: int, device: torch.device, listen: Callable[[int, int], None]
) -> float:
    """Train in place on all rows of the sample; return the share of the pixels' variance that is lost.

    Random numbers come from named streams of seed 0 and the CPU's sums from one thread, so the weights depend on the
    sample (and the hardware's rounding) alone. listen: called every REPORT_STEPS steps with those done and all.
    """
    images = torch.cat([_read(pool, start, side) for start in range(0, len(pool.row_ids), READ)])
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    network.train()
    with one_thread(), torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for step in range(STEPS):
            rng = stream(0, "autoencoder", RECIPE, step)
            clean = images[torch.from_numpy(rng.integers(0, len(images), BATCH))].to(device)
            noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(device)
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * _schedule(step)
            loss = F.mse_loss(network(clean + NOISE * noise), clean)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            uncompiled.step(optimizer)
            if (step + 1) % REPORT_STEPS == 0 or step + 1 == STEPS:
                listen(step + 1, STEPS)
        network.eval()
        return _lost(network, images[:: max(1, len(images) // 512)].to(device))


def _read(pool: PoolSample, start: int, side: int) -> Tensor:
    assert pool.rows is not None
    return to_side(torch.from_numpy(np.array(pool.rows.pixels(pool.row_ids[start : start + READ]))), side)


@torch.no_grad()
def _lost(network: nn.Module, images: Tensor) -> float:
    residual = (network(images) - images).square().mean()
    return float(residual / (images - images.mean(0)).square().mean().clamp_min(1e-12))


def _schedule(step: int) -> float:
    """Rise linearly, then fall with half a cosine to zero."""
    return min((step + 1) / WARM_UP, (1 + math.cos(math.pi * step / STEPS)) / 2)

"""Time one update of G and D beside a plain tutorial-style loop over the same networks; ratios from one process.

    python benchmarks/training_step.py [--size 32] [--batch 64] [--repeats 5] [--steps 6] [--interval 1] [--threads 2]
    python benchmarks/training_step.py --net projected --size 64 --batch 24 --steps 2 --threads 1

The plain loop does the same arithmetic on the same rows, latents and augmentations as the equations are usually
written: float32, NCHW, unfused Adam, D's weight gradients computed (and thrown away) in G's phase, separate calls of D
for real and generated images, separate penalties; so a projected D looks at every image again in G's phase. Its latents
of real images are left out on both sides. In fp32 residual networks must give the same losses, which is asserted first.
Blocks of steps alternate, so that a busy machine slows both; the figure is the ratio of medians.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from held_images import HeldImages
from machine import describe_machine

from distal.communicator import Alone
from distal.config import Config
from distal.losses.supervised import cross_entropy, one_hot, pseudo_label, sample_classes
from distal.models import GAN
from distal.train import TrainingRows
from distal.train.augment import draws
from distal.train.batch import draw_batch
from distal.train.ema import average_, decay

CLASSES, POOL, LABELS = 10, 2000, 100
BARS = {"residual": 1.7, "projected": 1.05}


class RandomImages(HeldImages):
    """Hold a pool of smooth random images in memory."""

    def __init__(self, size: int) -> None:
        coarse = torch.randn(POOL, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        super().__init__((F.interpolate(coarse, size=size, mode="bilinear").sigmoid() * 255).to(torch.uint8).numpy())


class PlainLoop:
    """Train as a tutorial would."""

    def __init__(self, config: Config, size: int, rows: TrainingRows) -> None:
        self.state = GAN.create(config, size, 1, CLASSES)
        self.rows, self.train = rows, config.train
        self.G = self.state.G.to(memory_format=torch.contiguous_format)
        self.D = self.state.D.to(memory_format=torch.contiguous_format)
        self.averaged_D = self.state.averaged_D.to(memory_format=torch.contiguous_format)
        make = lambda m, lr: torch.optim.Adam(m.parameters(), lr=lr, betas=(0.0, 0.99), foreach=False)  # noqa: E731
        self.optimizer_G = make(self.G, self.state.objective.learning_rates[0])
        self.optimizer_D = make(self.D, self.state.objective.learning_rates[1])

    def step(self) -> dict[str, float]:
        state, train, t = self.state, self.train, self.state.step
        own = state.objective.own
        chosen = state.objective.augmentations
        latent, device = state.config.net.latent_dim, torch.device("cpu")
        batch = draw_batch(
            self.rows, t, train.global_batch, train.labeled_fraction, latent, draws(chosen), 0, 1, device,
            torch.contiguous_format,
        )  # fmt: skip
        known, n = len(batch.labels), len(batch.images)
        with torch.no_grad():
            predicted = self.averaged_D.classify(self.averaged_D.features(batch.images[known:])).softmax(1)
        y = torch.cat([one_hot(batch.labels, CLASSES), predicted])
        asked = torch.cat([batch.labels, sample_classes(predicted, batch.class_uniforms[known:])])
        y_fake = one_hot(asked, CLASSES)
        real, fake = batch.images, self.G(batch.latents, y_fake)
        at = 0
        for a in chosen:
            real = a.function(real, batch.augment_real[:, at : at + a.draws])
            fake = a.function(fake, batch.augment_fake[:, at : at + a.draws])
            at += a.draws

        penalize = bool(state.objective.regularizers) and t % own.lazy_interval == 0
        real = real.detach().requires_grad_(penalize)
        detached = fake.detach().requires_grad_(penalize)
        real_logits, classes, _ = self.D(real, y)
        fake_logits, _, _ = self.D(detached, y_fake)
        d = F.softplus(fake_logits - real_logits).mean()
        head = cross_entropy(classes[:known], y[:known]).mean()
        guessed = pseudo_label(classes[known:], predicted, own.pseudo_label_threshold).mean()
        loss = d + own.head_weight * head + own.pseudo_label_weight * guessed
        if penalize:
            for name, logits, x in (("r1", real_logits, real), ("r2", fake_logits, detached)):
                (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
                weight = state.objective.regularizers[name][1] * own.lazy_interval
                loss = loss + weight * gradient.square().sum() / (2 * n)
        self.optimizer_D.zero_grad()
        loss.backward()
        self.optimizer_D.step()

        fake_logits, classes, _ = self.D(fake, y_fake)
        g = F.softplus(self.D(real.detach(), y)[0].detach() - fake_logits).mean()
        self.optimizer_G.zero_grad()
        (g + own.class_weight * cross_entropy(classes, y_fake).mean()).backward()
        self.optimizer_G.step()
        state.step += 1
        beta = decay(state.step, train.ema_half_life)
        average_(state.averaged_G, self.G, beta)
        average_(self.averaged_D, self.D, beta)
        return {"d": d.item(), "head": head.item(), "g": g.item()}


def make_config(arguments: argparse.Namespace, precision: str) -> Config:
    train = {"batch_size": arguments.batch, "precision": precision}
    return Config.model_validate(
        {
            "net": {"name": arguments.net},
            "train": train,
            "model": {"lazy_interval": arguments.interval, "reconstruction": 0},
        }
    )


def require_equal_losses(config: Config, size: int, rows: TrainingRows, steps: int) -> None:
    ours, plain = GAN.create(config, size, 1, CLASSES), PlainLoop(config, size, rows)
    for step in range(steps):
        got, expected = ours.advance(rows, Alone()), plain.step()
        for name, value in expected.items():
            # Other layouts sum in another order; Adam's first steps (sign-like) grow the rounding errors.
            if abs(float(got[name]) - value) > 1e-3 * max(1.0, abs(value)):
                raise SystemExit(f"step {step}: loss {name} is {float(got[name])}, the plain loop's {value}")
    print(f"fp32: the losses of {steps} steps agree within 1e-3")


def block_seconds(advance_once: Callable[[], object], steps: int) -> float:
    started = time.perf_counter()
    for _ in range(steps):
        advance_once()
    return (time.perf_counter() - started) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=BARS, default="residual")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps in a timed block; take a multiple of --interval")
    parser.add_argument("--interval", type=int, default=1, help="own.lazy_interval of both loops")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(describe_machine())
    ids = np.arange(LABELS, dtype=np.int64)
    none = np.zeros(0, np.int64)
    rows = TrainingRows(RandomImages(arguments.size), POOL, none, None, ids, ids % CLASSES, seed=0)
    if arguments.net == "residual":  # a projected D's spectral norms go on with every call, and calls differ
        require_equal_losses(make_config(arguments, "fp32"), arguments.size, rows, 6)

    loops: dict[str, Callable[[], object]] = {
        "plain": PlainLoop(make_config(arguments, "fp32"), arguments.size, rows).step
    }
    for precision in ("fp32", "auto"):
        state = GAN.create(make_config(arguments, precision), arguments.size, 1, CLASSES)
        loops[f"distal {precision} ({state.objective.arithmetic})"] = lambda s=state: s.advance(rows, Alone())
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for repeat in range(arguments.repeats + 1):
        for name, once in loops.items():
            taken = block_seconds(once, arguments.steps)
            if repeat > 0:  # the first round warms caches and kernels up
                seconds[name].append(taken)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    for name, value in median.items():
        print(f"{name:22s} {value * 1e3:8.1f} ms a step   {median['plain'] / value:.2f} x plain")
    ratio = median["plain"] / min(list(median.values())[1:])
    bar = BARS[arguments.net]
    print(f"{ratio:.2f} x the plain loop; the bar is {bar}: {'met' if ratio >= bar else 'MISSED'}")


if __name__ == "__main__":
    main()

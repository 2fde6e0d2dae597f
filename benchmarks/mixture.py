"""Train each loss, regularizer, optimizer and selector on 25 points of the plane, where what is covered can be counted.

    python benchmarks/mixture.py [FAMILY ...] [--steps 600] [--seeds 0 1] [--only NAME ...]

The pool: images of one pixel and two channels, so that an image is a point; 25 normal clusters on a 5 x 5 grid, a class
a column, 50 labels of 20,000 rows. All of distal's own training is exercised, as it trains images: dense networks, 64
rows a step, defaults where nothing else is said. Of 2,500 generated points, classes in turn, it counts
  modes: clusters that have at least 20 points within three deviations (a fifth of their share),
  near: the share of points within three deviations of any cluster,
  own: the share within three deviations of a cluster of the class asked.
and, where it is trained by several networks or privately, of as many points of the pool
  right: the share whose class the model's head, or what its members say together, names.
Real points: 25, 0.99, 0.99. Seconds are CPU seconds of the process for all steps.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from held_images import HeldImages
from machine import describe_machine
from torch import Tensor

from distal.communicator import Alone
from distal.config import Config
from distal.models import GAN, MODELS
from distal.nets.scorer import to_unit
from distal.resolve import parse_config
from distal.train import TrainingRows
from distal.train.augment import augmentation
from distal.train.latents import SELECTORS, asked_uniforms, find_selector, sample_latents
from distal.train.round import Settling

SIDE, ROWS, LABELS, POINTS, DEVIATION = 5, 20_000, 50, 2500, 0.03
CENTRES = torch.cartesian_prod(torch.linspace(-0.8, 0.8, SIDE), torch.linspace(-0.8, 0.8, SIDE))


@augmentation("jitter", draws=2)
def jitter(x: Tensor, u: Tensor) -> Tensor:
    """Move a point by up to a deviation each way: what bcr compares a point with."""
    return x + DEVIATION * (2 * u - 1)[:, :, None, None]


class Grid(HeldImages):
    """Points of the mixture as uint8 images [n, 2, 1, 1]; row i is of cluster i mod 25."""

    def __init__(self) -> None:
        noise = np.random.default_rng(0).normal(0, DEVIATION, (ROWS, 2))
        points = CENTRES.numpy()[np.arange(ROWS) % SIDE**2] + noise
        super().__init__(np.clip(np.rint((points + 1) * 127.5), 0, 255).astype(np.uint8)[:, :, None, None])


OFF = {"r1": 0.0, "r2": 0.0}
PENALIZED = {"r1": 0.02, "r2": 0.02}
LOSSES = ("rpgan", "relativistic_average", "minimax", "non_saturating", "least_squares", "hinge", "wasserstein")
BOUNDED = {"wasserstein": {"d_steps": 3, "regularizers": OFF | {"wgan_gp": 0.1}}}

CASES: dict[str, dict[str, dict[str, Any]]] = {
    "losses": {name: {"adversarial": name} | BOUNDED.get(name, {}) for name in LOSSES},
    "penalties": {
        "none": {"regularizers": OFF},
        **{f"{name} alone": {"regularizers": OFF | {name: 0.02}} for name in ("r1", "r2")},
        "r1_fd, r2_fd": {"regularizers": OFF | {"r1_fd": 0.02, "r2_fd": 0.02}},
        "r1, r2, every 4th": {"lazy_interval": 4},
        "wgan_gp": {"regularizers": OFF | {"wgan_gp": 0.1}},
        "dragan": {"regularizers": OFF | {"dragan": 0.1}},
        "spectral_norm, hinge": {"regularizers": OFF, "adversarial": "hinge", "spectral_norm": True},
    },
    "regularizers": {
        "lecam, hinge": {"adversarial": "hinge", "regularizers": PENALIZED | {"lecam": 0.3}},
        "bcr": {"augment": ["jitter"], "regularizers": PENALIZED | {"bcr": 1.0}},
        "zcr": {"regularizers": PENALIZED | {"zcr_d": 5.0, "zcr_g": 0.5}},
        "orthogonal": {"regularizers": PENALIZED | {"orthogonal": 1e-4}},
        "l1": {"regularizers": PENALIZED | {"l1": 1e-5}},
        "l2": {"regularizers": PENALIZED | {"l2": 1e-4}},
        "feature_matching": {"regularizers": PENALIZED | {"feature_matching": 1.0}},
        "mode_seeking": {"regularizers": PENALIZED | {"mode_seeking": 0.1}},
        "path_length": {"regularizers": PENALIZED | {"path_length": 0.1}},
        "head_entropy": {"regularizers": PENALIZED | {"head_entropy": 0.1}},
        "mutual_information": {"regularizers": PENALIZED | {"mutual_information": 0.1}},
    },
    "optimizers": {
        "adamw": {"optimizer": "adamw"},
        "rmsprop": {"optimizer": "rmsprop"},
        "sgd 0.9": {"optimizer": "sgd", "momentum": 0.9, "learning_rate_g": 0.02, "learning_rate_d": 0.02},
        "cosine, warm-up 100": {"schedule": "cosine", "warmup_steps": 100},
        "clip_norm 0.1": {"clip_norm": 0.1},
        "d_steps 3": {"d_steps": 3},
        "accumulate 4 of 16": {"accumulate": 4, "batch_size": 16},
        "two rates, D 4 x": {"learning_rate_g": 5e-4, "learning_rate_d": 2e-3},
        "full_labels": {"full_labels": True},
    },
    "ensembles": {
        "gan": {},
        **{f"gman, lambda {hardness}": {"kind": "gman", "hardness": hardness} for hardness in (0, 1, 100)},
        **{
            f"{how}, {combine}": {"kind": "ensemble", "members": 3, "how": how, "combine": combine}
            for how, combine in (
                ("bagging", "averaging"),
                ("bagging", "voting"),
                ("bagging", "stacking"),
                ("boosting", "averaging"),
                ("snapshots", "averaging"),
            )
        },
    },
    "private": {
        f"noise {noise}": {
            "adversarial": "hinge",
            "regularizers": {},
            "class_balance": 0.0,
            "privacy": {"noise": noise},
        }
        for noise in (1e-9, 0.5, 1.0, 2.0)
    },
    "latents": {
        "top_k 0.5": {"top_k": 0.5},
        "latent_optimization": {"latents": "latent_optimization"},
    },
}


def config_of(case: dict[str, Any], seed: int) -> Config:
    given = {"learning_rate_g": 1e-3, "learning_rate_d": 1e-3, "regularizers": PENALIZED, "augment": []} | case
    kind = given.pop("kind", "gan")
    shared = {key: given.pop(key) for key in list(given) if key in GAN.section.model_fields}
    own = {key: given.pop(key) for key in list(given) if key in MODELS.find(kind).section.model_fields}
    own = {"kind": kind, **own, **({"member": shared} if kind == "ensemble" else shared)}
    net = {"name": "dense", "width": 16, "latent_dim": 8, "features": 64}
    net |= {key: given.pop(key) for key in list(given) if key == "spectral_norm"}
    tree = {"seed": seed, "rounds": 1, "net": net, "train": {"precision": "fp32", "momentum": 0.0} | given}
    return parse_config(tree | {"model": own})


def trained(case: dict[str, Any], seed: int, steps: int) -> tuple[Any, float]:
    config = config_of(case | {"steps": steps}, seed)
    state = MODELS.find(config.model.kind).create(config, image_size=1, channels=2, classes=SIDE)
    ids = np.arange(LABELS, dtype=np.int64)
    none = np.zeros(0, np.int64)
    rows = TrainingRows(Grid(), ROWS, none, None, ids, ids % SIDE**2 // SIDE, seed=seed)
    begun = time.process_time()
    for _ in range(steps):
        state.advance(rows, Alone())
    if isinstance(state, Settling):
        state.settle(rows, Alone())
    return state, time.process_time() - begun


def covered(state: Any, selector: str = "drawn") -> tuple[int, float, float]:
    """Return modes, near and own of the generated points."""
    labels = torch.arange(POINTS) % SIDE
    z = sample_latents(POINTS, state.config.net.latent_dim)
    chosen = find_selector(selector, "selector")
    if chosen is not None:

        def draw(name: str, draws: int) -> Tensor:
            return torch.cat([asked_uniforms(0, block, name, draws) for block in range(-(-POINTS // 256))])[:POINTS]

        z = chosen.latents(z, state.conditions(labels), state.feedback(), draw)
    points = to_unit(state.generate(z, labels)).flatten(1)
    distance, cluster = torch.cdist(points, CENTRES).min(1)
    near = distance < 3 * DEVIATION
    counts = torch.bincount(cluster[near], minlength=SIDE**2)
    own = near & (cluster // SIDE == labels)
    return int((counts >= POINTS // SIDE**2 // 5).sum()), float(near.float().mean()), float(own.float().mean())


def right(state: Any) -> float:
    """Return how often the classifier is right of points that it was not given the class of."""
    ids = np.arange(LABELS, LABELS + POINTS)
    probs = state.scorer()(torch.from_numpy(Grid().pixels(ids)))["probs"]
    return float((probs.argmax(1).numpy() == ids % SIDE**2 // SIDE).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("families", nargs="*", default=[*CASES, "selectors"])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", help="names of cases")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(describe_machine())
    print("| | seed: modes, near, own | seconds |\n| --- | --- | --- |")
    for family in arguments.families:
        for name, case in CASES.get(family, {}).items():
            if arguments.only and name not in arguments.only:
                continue
            found, seconds = [], 0.0
            for seed in arguments.seeds:
                state, taken = trained(case, seed, arguments.steps)
                found.append("{}: {}, {:.2f}, {:.2f}".format(seed, *covered(state)))
                if family in ("ensembles", "private"):
                    found[-1] += f", {right(state):.2f}"
                seconds += taken / len(arguments.seeds)
            print(f"| {name} | {'; '.join(found)} | {seconds:.0f} |", flush=True)
    if "selectors" in arguments.families:
        states = [trained({}, seed, arguments.steps // 2)[0] for seed in arguments.seeds]
        for name in ("drawn", *SELECTORS, "truncation:0.5"):
            begun = time.process_time()
            found = [
                "{}: {}, {:.2f}, {:.2f}".format(s, *covered(m, name))
                for s, m in zip(arguments.seeds, states, strict=True)
            ]
            print(f"| --latents {name} | {'; '.join(found)} | {time.process_time() - begun:.1f} |", flush=True)


if __name__ == "__main__":
    main()

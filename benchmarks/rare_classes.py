"""Train a GAN for a given CPU time on one thread; print what an unrelated judge says of the images of each class.

    python benchmarks/rare_classes.py DATA OUT --minutes 15 [--size 64] [--labels 120] [--seed 0] [KEY=VALUE ...]

DATA holds train.parquet and test.parquet, OUT takes the judge, a picture and a line of results.jsonl. The judge
(judge.py) learns from all labels of train.parquet whatever the GAN is given; its balanced accuracy on test.parquet is
printed. Agreement: the share of a class's generated images that the judge takes for it, mean over classes. Diversity:
the mean distance of two generated images of a class in the judge's features over that of two of its test images.
Distance: Frechet's in 64 principal components of these features, generated images in the proportions of the test set;
floor: the same for the training images. --labels N: as many, equally many of each class where there are enough.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from held_images import HeldImages
from judge import Judge, kept, unit
from machine import describe_machine
from PIL import Image

from distal.communicator import Alone
from distal.config import Config
from distal.data.decode import DecodeSpec, decode
from distal.metrics.frechet import Gaussian, frechet_distance
from distal.models import GAN
from distal.nets.threads import one_thread
from distal.resolve import read_config
from distal.train import TrainingRows

EACH, SHOWN, COMPONENTS, JUDGE_STEPS = 100, 16, 64, 700


class Pool(HeldImages):
    """Hold decoded images in memory."""

    def __init__(self, path: Path, size: int, channels: int) -> None:
        table = pq.read_table(path)
        spec = DecodeSpec(size, channels, "resize", "none", 10**9)
        super().__init__(np.stack([decode(image["bytes"], spec) for image in table["image"].to_pylist()]))
        self.labels = np.array(table["label"].to_pylist())


def labeled(pool: Pool, count: int | None, seed: int) -> np.ndarray:
    """Return the rows whose labels the GAN is given."""
    if count is None:
        return np.arange(len(pool.labels))
    order = np.random.default_rng(seed).permutation(len(pool.labels))
    ranks = np.zeros(len(order), int)
    for label in np.unique(pool.labels):
        ranks[order[pool.labels[order] == label]] = np.arange(np.count_nonzero(pool.labels == label))
    return np.sort(order[np.argsort(ranks[order], kind="stable")][:count])


def train(config: Config, pool: Pool, rows: np.ndarray, minutes: float) -> GAN:
    """Train until the process has used so many CPU minutes."""
    drawn = TrainingRows(pool, len(pool.labels), np.zeros(0, np.int64), None, rows, pool.labels[rows], config.seed, 1.0)
    gan = GAN.create(config, pool.data.shape[-1], pool.data.shape[1], int(pool.labels.max()) + 1)
    began, told = time.process_time(), 0.0
    while (used := time.process_time() - began) < 60 * minutes:
        losses = gan.advance(drawn, Alone())
        if used >= told:
            print(f"{used:5.0f} s, {gan.step} updates", {k: round(float(v), 3) for k, v in losses.items()}, flush=True)
            told += 60
    gan.settle(drawn, Alone())
    return gan


def mean_distance(features: torch.Tensor) -> float:
    n = len(features)
    return float(torch.cdist(features, features).sum()) / (n * (n - 1))


def judged(gan: GAN, judge: Judge, pool: Pool, test: Pool) -> dict[str, object]:
    """Return the scores, and the generated images under `images`, uint8 [K, EACH, C, S, S]."""
    classes = gan.classes
    asked = torch.arange(classes).repeat_interleave(EACH)
    latents = torch.randn(len(asked), gan.config.net.latent_dim, generator=torch.Generator().manual_seed(1))
    images = gan.generate(latents, asked).numpy()
    made, real = judge.features(unit(images)), judge.features(unit(test.data))
    right = judge.head(made).argmax(1) == asked
    agreement = [float(right[asked == k].float().mean()) for k in range(classes)]
    labels = torch.from_numpy(test.labels)
    diversity = [mean_distance(made[asked == k]) / mean_distance(real[labels == k]) for k in range(classes)]
    counts = torch.bincount(labels, minlength=classes)
    parts = (EACH * counts / counts.max()).ceil().int().tolist()
    mixed = torch.cat([made[asked == k][:n] for k, n in enumerate(parts)])
    axes = torch.linalg.svd(real - real.mean(0), full_matrices=False)[2][:COMPONENTS].T

    def distance(features: torch.Tensor) -> float:
        return frechet_distance(Gaussian.from_features(real @ axes), Gaussian.from_features(features @ axes))

    floor = distance(judge.features(unit(pool.data[:2000])))
    own = judge.head(real).argmax(1) == labels
    return {
        "agreement": round(float(np.mean(agreement)), 3),
        "agreement_by_class": [round(a, 2) for a in agreement],
        "diversity": [round(d, 2) for d in diversity],
        "distance": round(distance(mixed), 2),
        "floor": round(floor, 2),
        "judge": round(float(np.mean([float(own[labels == k].float().mean()) for k in range(classes)])), 3),
        "images": images.reshape(classes, EACH, *images.shape[1:]),
    }


def picture(images: np.ndarray) -> Image.Image:
    """Return a row of images for each class."""
    grid = images[:, :SHOWN].transpose(0, 3, 1, 4, 2)
    flat = grid.reshape(grid.shape[0] * grid.shape[1], -1, grid.shape[-1])
    return Image.fromarray(flat[..., 0] if flat.shape[-1] == 1 else flat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--labels", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="run")
    parser.add_argument("--upside-down", action="store_true", help="the judge may flip images that way")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    a = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    print(describe_machine(), flush=True)
    config = read_config(None, [f"seed={a.seed}", *a.overrides])
    pool, test = (Pool(a.data / f"{name}.parquet", a.size, a.channels) for name in ("train", "test"))
    a.out.mkdir(parents=True, exist_ok=True)
    judge = kept(a.out / f"judge-{a.data.name}-{a.size}.pt", pool.data, pool.labels, JUDGE_STEPS, a.upside_down)
    with one_thread():
        gan = train(config, pool, labeled(pool, a.labels, a.seed), a.minutes)
        scores = judged(gan, judge, pool, test)
    picture(scores.pop("images")).save(a.out / f"{a.name}.png")
    for name, data in gan.to_files().items():
        (a.out / a.name).mkdir(exist_ok=True)
        (a.out / a.name / name).write_bytes(data)
    line = json.dumps({"name": a.name, "updates": gan.step, **scores, "overrides": a.overrides, "seed": a.seed})
    print(line)
    with open(a.out / "results.jsonl", "a") as results:
        results.write(line + "\n")


if __name__ == "__main__":
    main()

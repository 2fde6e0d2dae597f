"""Time and check the Frechet distance beside scipy's matrix root and torchmetrics, at 2048 features.

    python benchmarks/frechet.py [--features 2048] [--many 5000] [--few 500] [--repeats 3]

Prints seconds (best of the repeats), the ratio to scipy's, and the difference from scipy's value. All start from the
same float32 features; the statistics of the reference are known beforehand to every method, as they are in use.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import scipy
import scipy.linalg
import torch
from machine import describe_machine
from torchmetrics.image.fid import _compute_fid

from distal.metrics import Gaussian, frechet_of_features


def main() -> None:
    arguments = _arguments()
    print(f"{describe_machine()}, scipy {scipy.__version__}")
    print(f"{torch.get_num_threads()} threads, seed 0, {arguments.features} features")
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(arguments.features, arguments.features)) / arguments.features**0.5
    spectrum = np.exp(-np.arange(arguments.features) / (arguments.features / 6))
    reference = _draw(rng, arguments.many, mix * spectrum[:, None])
    start = time.perf_counter()
    gaussian = Gaussian.from_features(reference)
    print(f"half factor of the reference, once: {time.perf_counter() - start:.2f} s")
    x = reference.double()
    mu, sigma = x.mean(0), torch.cov(x.T)
    for title, n in (("many", arguments.many), ("few", arguments.few)):
        generated = _draw(rng, n, 1.1 * mix * spectrum[:, None]) + 0.05
        ways: dict[str, Callable[[], float]] = {
            "scipy sqrtm": lambda y=generated: _scipy(mu, sigma, y),
            "torchmetrics": lambda y=generated: float(
                _compute_fid(mu, sigma, y.double().mean(0), torch.cov(y.double().T))
            ),
            "distal": lambda y=generated: frechet_of_features(gaussian, y),
        }
        print(f"\n{title}: {n} samples")
        first: tuple[float, float] | None = None
        for name, way in ways.items():
            value, seconds = _best(way, arguments.repeats)
            first = first or (value, seconds)
            print(f"  {name:14s} {seconds:8.3f} s   {seconds / first[1]:7.4f} x   differs by {value - first[0]:+.2e}")


def _scipy(mu: torch.Tensor, sigma: torch.Tensor, generated: torch.Tensor) -> float:
    y = generated.double()
    mean, covariance = y.mean(0), torch.cov(y.T)
    root = scipy.linalg.sqrtm(sigma.numpy() @ covariance.numpy())
    return float((mu - mean).square().sum() + sigma.trace() + covariance.trace()) - 2 * float(np.trace(root).real)


def _draw(rng: np.random.Generator, n: int, mix: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((rng.normal(size=(n, len(mix))) @ mix).astype(np.float32))


def _best(way: Callable[[], float], repeats: int) -> tuple[float, float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = way()
        seconds.append(time.perf_counter() - start)
    return value, min(seconds)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--many", type=int, default=5000)
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()

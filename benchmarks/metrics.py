"""Time every metric of distal beside the Frechet distance alone by torchmetrics, at 10,000 x 2,048 features.

    python benchmarks/metrics.py [--features 2048] [--images 10000] [--classes 10]

Prints CPU seconds, which another busy process does not change, and the ratio to torchmetrics, which is given the
reference's covariance, as distal is given its reference statistics: they are known beforehand in use. Classes weigh
alike; one run, seed 0.
"""

import argparse
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from torchmetrics.image.fid import _compute_fid

from distal.communicator import Alone
from distal.metrics import METRICS, Evaluation, Gaussian
from distal.metrics.kernel import within_sums
from distal.metrics.registry import FURTHER, STANDARD
from distal.metrics.samples import GeneratedFeatures
from distal.metrics.statistics import KERNEL_ROWS, ReferenceStatistics


def main() -> None:
    arguments = _arguments()
    n, classes = arguments.images, arguments.classes
    print(f"{describe_machine()}\n{torch.get_num_threads()} threads, seed 0, {n:,} x {arguments.features:,} a side")
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(arguments.features, arguments.features)) / arguments.features**0.5
    mix *= np.exp(-np.arange(arguments.features) / (arguments.features / 6))[:, None]
    real, made = (torch.from_numpy((rng.normal(size=(n, len(mix))) @ (s * mix)).astype(np.float32)) for s in (1, 1.1))
    labels = np.arange(n) % classes
    x = real.double()
    mean, covariance = x.mean(0), torch.cov(x.T)
    theirs, alone = _timed(
        lambda: float(_compute_fid(mean, covariance, made.double().mean(0), torch.cov(made.double().T)))
    )
    print(f"  {'torchmetrics, fd':18s} {alone:7.2f} s")
    e = _evaluation(real, made, labels, classes)
    total = 0.0
    for metric in (*STANDARD, *FURTHER):
        if not all(map(e.has, metric.needs)) or metric.name == "accuracy":
            continue
        scores, seconds = _timed(lambda metric=metric: metric.function(e))
        total += seconds
        print(f"  {metric.name:18s} {seconds:7.2f} s   {seconds / alone:5.2f} x   {scores[0].value:.5g}")
    print(
        f"  {'together':18s} {total:7.2f} s   {total / alone:5.2f} x; fd differs from torchmetrics by "
        f"{METRICS.find('fd').function(e)[0].value - theirs:+.1e}"
    )


def _evaluation(real: torch.Tensor, made: torch.Tensor, labels: np.ndarray, classes: int) -> Evaluation:
    """Hold these features as a round does; class scores see the classes, whose labels go round."""
    comm, n = Alone(), len(real)
    extractor: Any = SimpleNamespace(name="random", hash="0" * 64, width=real.shape[1], note=None)
    names = tuple(str(c) for c in range(classes))
    split: Any = type(
        "Split", (), {"__len__": lambda self: n, "labels": labels, "labeled": True, "class_names": names}
    )()
    by_class = {c: Gaussian.from_features(real[torch.from_numpy(labels == c)]) for c in range(classes)}
    rows = real[torch.linspace(0, n - 1, min(n, KERNEL_ROWS), dtype=torch.float64).long()]
    within, whole = within_sums(rows, comm), Gaussian.from_features(real)
    reference = ReferenceStatistics(real, whole, by_class, labels, rows, within, 1.0)
    logits = torch.from_numpy(np.random.default_rng(1).normal(size=(n, classes))).float()
    counts = np.bincount(labels, minlength=classes)
    generated = GeneratedFeatures(np.arange(n), labels, made, logits, counts, 0, comm)
    judge: Any = SimpleNamespace(extractor=extractor)
    return Evaluation(split, extractor, reference, generated, judge, None, None, comm)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return work(), time.process_time() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=int, default=2048)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--classes", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()

import numpy as np
import pytest
import torch
from metric_fakes import on_ranks

from distal.communicator import Alone
from distal.metrics import neighbours
from distal.metrics.neighbours import DENSITY_K, PRECISION_K, Neighbours


def cloud(n: int, seed: int, scale: float) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(3, scale, (n, 3)))


def by_definition(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float, float]:
    """Return precision, recall, density and coverage, loop by loop as the papers write them."""

    def ball(points: np.ndarray, i: int, k: int) -> float:
        return float(np.sort(np.linalg.norm(points - points[i], axis=1))[k])

    def inside(points: np.ndarray, k: int, z: np.ndarray) -> list[bool]:
        return [bool(np.linalg.norm(z - p) <= ball(points, i, k)) for i, p in enumerate(points)]

    around = [inside(x, DENSITY_K, z) for z in y]
    return (
        float(np.mean([any(inside(x, PRECISION_K, z)) for z in y])),
        float(np.mean([any(inside(y, PRECISION_K, z)) for z in x])),
        float(np.sum(around) / (DENSITY_K * len(y))),
        float(np.mean(np.any(around, axis=0))),
    )


def scores(found: Neighbours) -> tuple[float, float, float, float]:
    of = (found.realistic, found.found, found.around.double() / DENSITY_K, found.covered)
    return tuple(float(values.double().mean()) for values in of)  # type: ignore[return-value]


def test_the_four_are_what_their_papers_define() -> None:
    x, y = cloud(40, 1, 1.0), cloud(30, 2, 0.5)
    expected = by_definition(x.numpy(), y.numpy())
    assert scores(Neighbours.count(x, y, Alone())) == pytest.approx(expected, abs=1e-12)
    assert min(expected) > 0.2
    assert len(set(expected)) == 4


def test_blocks_and_ranks_count_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = cloud(40, 1, 1.0), cloud(30, 2, 0.5)
    whole = scores(Neighbours.count(x, y, Alone()))
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    assert [scores(found) for found in on_ranks(3, lambda comm: Neighbours.count(x, y, comm))] == [whole] * 3

import numpy as np
import pytest
import torch

from distal.metrics.frechet import Gaussian, frechet_distance
from distal.metrics.frechet_error import frechet_error


def sample(n: int, seed: int, width: int, scale: float = 1.0, shift: float = 0.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(shift, scale, (n, width)) * np.linspace(1, 2, width))


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    return frechet_distance(Gaussian.from_features(x), Gaussian.from_features(y))


@pytest.mark.parametrize(("n", "m", "width"), [(60, 90, 4), (20, 30, 40), (20, 90, 30)])
def test_it_is_about_the_spread_over_samples_with_more_and_with_fewer_images_than_features(
    n: int, m: int, width: int
) -> None:
    pairs = [(sample(m, s, width), sample(n, 500 + s, width, 1.5, 0.6)) for s in range(80)]
    spread = np.std([distance(x, y) for x, y in pairs])
    assert np.mean([frechet_error(x, y) for x, y in pairs[:40]]) == pytest.approx(spread, rel=0.3)


def test_it_falls_with_the_root_of_the_number_of_images() -> None:
    few = frechet_error(sample(500, 1, 6), sample(500, 2, 6, 1.5))
    many = frechet_error(sample(8000, 1, 6), sample(8000, 2, 6, 1.5))
    assert few / many == pytest.approx(4.0, rel=0.15)


def test_two_images_have_no_error() -> None:
    assert frechet_error(sample(2, 1, 4), sample(9, 2, 4)) is None

import numpy as np
import pytest
import scipy.linalg
import torch

from distal.communicator import Alone
from distal.errors import EvaluationError
from distal.metrics.frechet import (
    Gaussian,
    Moments,
    bias_note,
    floor,
    frechet_distance,
    frechet_of_features,
    half_factor,
)


def features(n: int, f: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(f, f)) / f**0.5
    return torch.from_numpy(rng.normal(size=(n, f)) @ mix + shift)


def by_matrix_root(x: torch.Tensor, y: torch.Tensor) -> float:
    a, b = x.numpy().astype(np.float64), y.numpy().astype(np.float64)
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(s @ t)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * np.trace(root).real)


def test_many_samples_agree_with_scipys_matrix_root() -> None:
    x, y = features(500, 24, 1), features(400, 24, 2, shift=0.3) * 1.3
    # The root of a condition number c = 1e6 carries an error of about sqrt(c) x 1e-16 x the trace.
    assert frechet_of_features(Gaussian.from_features(x), y) == pytest.approx(by_matrix_root(x, y), rel=1e-9)


def test_two_gaussians_on_the_axes_have_the_distance_of_the_formula() -> None:
    a, b = torch.tensor([1.0, 4.0, 9.0]).double(), torch.tensor([4.0, 1.0, 0.0]).double()
    one = Gaussian(torch.zeros(3).double(), torch.diag(a.sqrt()), 100)
    two = Gaussian(torch.ones(3).double() * 2, torch.diag(b.sqrt()), 100)
    expected = 12 + float(((a.sqrt() - b.sqrt()) ** 2).sum())
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-12)


def test_few_samples_give_the_same_distance_by_singular_values_and_by_moments() -> None:
    reference = Gaussian.from_features(features(300, 40, 3))
    few = features(20, 40, 4, shift=0.2)
    moments = Moments(reference.mean)
    moments.add(few)
    # Twenty zero eigenvalues known to 1e-16 x the largest (about 20) leave at most 20 x sqrt(2e-15) = 1e-6.
    assert frechet_of_features(reference, few) == pytest.approx(frechet_distance(reference, moments), abs=2e-6)


def spread_along(variances: list[float], turn: np.ndarray) -> torch.Tensor:
    """Return rows in pairs of opposite sign whose covariance is turn' diag(variances) turn exactly."""
    n = 2 * len(variances)
    half = np.diag(np.sqrt(np.array(variances) * (n - 1) / 2))
    return torch.from_numpy(np.concatenate([half, -half]) @ turn)


def test_two_rank_deficient_sets_are_compared_exactly() -> None:
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(12, 12)))[0][:4]
    x, y = spread_along([1, 4, 0, 0], turn), spread_along([0, 9, 16, 0], turn)
    # tr S_r + tr S_g - 2 sum sqrt(a_i b_i) = 5 + 25 - 2 x 6, of covariances of rank 2 in 12 dimensions
    assert frechet_of_features(Gaussian.from_features(x), y) == pytest.approx(18, rel=1e-12)


def test_a_set_has_distance_zero_from_itself() -> None:
    x = features(200, 16, 7)
    assert frechet_of_features(Gaussian.from_features(x), x) == pytest.approx(0, abs=1e-6)


def test_constant_features_leave_the_distance_of_means_and_the_references_trace() -> None:
    x = features(200, 8, 8)
    constant = torch.full((50, 8), 0.5, dtype=torch.float64)
    expected = float(((x.mean(0) - 0.5) ** 2).sum() + torch.cov(x.T).trace())
    # Rounding leaves variances of 1e-16 x the squared mean (1): eight roots of 1e-8 x the deviations (1) in the trace.
    assert frechet_of_features(Gaussian.from_features(x), constant) == pytest.approx(expected, abs=1e-6)


def test_one_generated_image_has_a_covariance_of_zero() -> None:
    x = features(200, 8, 8)
    one = features(1, 8, 9)
    expected = float(((x.mean(0) - one[0]) ** 2).sum() + torch.cov(x.T).trace())
    assert frechet_of_features(Gaussian.from_features(x), one) == pytest.approx(expected, rel=1e-9)


def test_float32_features_far_from_zero_lose_nothing_to_cancellation() -> None:
    x, y = features(300, 12, 10) + 1e4, features(300, 12, 11) + 1e4
    assert frechet_of_features(Gaussian.from_features(x.float()), y.float()) == pytest.approx(
        by_matrix_root(x.float(), y.float()), rel=1e-6
    )


def test_moments_of_parts_add_to_the_moments_of_all() -> None:
    x = features(100, 6, 12)
    whole, parts = Moments(torch.zeros(6)), Moments(torch.zeros(6))
    whole.add(x)
    parts.add(x[:33], rows=10)
    parts.add(x[33:], rows=7)
    parts.sum_(Alone())
    assert parts.samples == 100
    torch.testing.assert_close(parts.mean, x.mean(0))
    torch.testing.assert_close(parts.covariance, torch.cov(x.T), rtol=1e-12, atol=1e-12)


def test_a_half_factor_of_a_singular_covariance_multiplies_back() -> None:
    covariance = torch.cov(features(5, 9, 13).T)
    half = half_factor(covariance)
    torch.testing.assert_close(half @ half.T, covariance, rtol=0, atol=1e-13)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_features_that_are_not_finite_are_refused_with_their_number(bad: float) -> None:
    x = features(20, 4, 14)
    y = x.clone()
    y[3, 1] = y[7, 0] = bad
    with pytest.raises(EvaluationError, match="2 of 20 images"):
        frechet_of_features(Gaussian.from_features(x), y)


def test_features_of_another_extractor_are_refused() -> None:
    with pytest.raises(EvaluationError, match="reference has 4, generated 5"):
        frechet_of_features(Gaussian.from_features(features(20, 4, 1)), features(3, 5, 1))


def test_no_image_is_refused() -> None:
    with pytest.raises(EvaluationError, match="N at least 1"):
        Gaussian.from_features(torch.zeros(0, 4))


def test_small_samples_are_called_biased() -> None:
    assert bias_note(1000, 1000, 64) is None
    assert "100 generated images for 64 features" in str(bias_note(100, 1000, 64))
    assert "36 reference images" in str(bias_note(200, 36, 64))


class Flat(torch.nn.Module):
    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).to(torch.float64)


def test_it_agrees_with_torchmetrics_over_the_same_features() -> None:
    from torchmetrics.image.fid import FrechetInceptionDistance

    rng = np.random.default_rng(15)
    x = torch.from_numpy(rng.integers(0, 256, (300, 3, 2, 2), dtype=np.uint8))
    y = torch.from_numpy(rng.integers(0, 200, (250, 3, 2, 2), dtype=np.uint8))
    metric = FrechetInceptionDistance(feature=Flat(), input_img_size=(3, 2, 2)).set_dtype(torch.float64)
    metric.update(x, real=True)
    metric.update(y, real=False)
    ours = frechet_of_features(Gaussian.from_features(Flat()(x)), Flat()(y))
    assert ours == pytest.approx(float(metric.compute()), rel=1e-8)


def test_the_floor_is_what_real_images_of_these_numbers_are_apart() -> None:
    x = torch.randn(6000, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def apart(one: torch.Tensor, other: torch.Tensor) -> float:
        return frechet_distance(Gaussian.from_features(one), Gaussian.from_features(other))

    found = [apart(x[i : i + 200], x[i + 200 : i + 1000]) for i in range(0, 6000, 1000)]
    expected = [floor(apart(x[i + 200 : i + 600], x[i + 600 : i + 1000]), 800, 200) for i in range(0, 6000, 1000)]
    # One distance, a sum of some 16 + 136 squares, spreads by sqrt(2 / 152) of itself: a mean of six by 0.05, a ratio
    # of two such by 0.07, of which this allows three.
    assert sum(expected) / sum(found) == pytest.approx(1.0, abs=0.21)

import dataclasses

import numpy as np
import pytest
import scipy.linalg
import torch
from query_pools import choose, cut, make_pool

from distal.query import STRATEGIES, View
from distal.query.fid_gradient import frechet_slope


def statistics(seed: int, features: int = 6, samples: int = 400) -> dict[str, torch.Tensor]:
    """Draw mean and covariance of generated and real features."""
    draw = np.random.default_rng(seed)
    out = {}
    for who in ("generated", "real"):
        x = draw.standard_normal((samples, features)) @ draw.standard_normal((features, features)) + draw.random(
            features
        )
        out |= {f"{who}_mean": torch.from_numpy(x.mean(0)), f"{who}_covariance": torch.from_numpy(np.cov(x.T))}
    return out


def frechet(mean, covariance, real_mean, real_covariance) -> float:
    """Return the squared distance by scipy's matrix root."""
    root = scipy.linalg.sqrtm(covariance @ real_covariance).real
    return float(((mean - real_mean) ** 2).sum() + np.trace(covariance + real_covariance - 2 * root))


def with_statistics(pool: View, seed: int = 0) -> View:
    return dataclasses.replace(pool, tensors={"features": pool.embeddings}, constants=statistics(seed))


def test_scores_are_minus_the_finite_differences_of_the_distance_in_the_share_of_a_row():
    pool = with_statistics(make_pool(30))
    m, S, r, R = (pool.constants[name].numpy() for name in statistics(0))
    scores = STRATEGIES.find("fid_gradient").make(pool).numpy()
    for i, x in enumerate(pool.features.double().numpy()):

        def distance(e, x=x):  # the mixture of (1 - e) parts of what G draws and e parts of the row
            return frechet(m + e * (x - m), (1 - e) * (S + e * np.outer(x - m, x - m)), r, R)

        slope = (distance(1e-5) - distance(-1e-5)) / 2e-5
        assert scores[i] == pytest.approx(-slope, rel=1e-5, abs=1e-5)


def test_a_step_along_the_slope_of_the_covariance_moves_the_distance_by_its_square():
    m, S, r, R = (v.numpy() for v in statistics(3).values())
    slope = frechet_slope(torch.from_numpy(S), torch.from_numpy(R)).numpy()
    e = 1e-6 / np.abs(slope).max()
    moved = frechet(m, S + e * slope, r, R) - frechet(m, S - e * slope, r, R)
    assert moved / (2 * e) == pytest.approx((slope**2).sum(), rel=1e-5)


def test_equal_statistics_have_no_slope_and_every_row_ties():
    pool = with_statistics(make_pool(64, unavailable=0.0, labeled=0.0))
    real = {name: pool.constants[f"real_{name[10:]}"] for name in ("generated_mean", "generated_covariance")}
    pool = dataclasses.replace(pool, constants={**pool.constants, **real})
    assert np.abs(choose("fid_gradient", [pool], 64).scores).max() < 1e-9


def test_features_that_do_not_vary_and_too_few_images_give_finite_scores():
    pool, given = with_statistics(make_pool(50)), statistics(1)
    given["real_covariance"][0] = given["real_covariance"][:, 0] = 0.0
    few = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    given["generated_covariance"] = torch.cov(few.T)
    pool.features[:, 0] = 1.0
    assert np.isfinite(choose("fid_gradient", [dataclasses.replace(pool, constants=given)], 50).scores).all()


@pytest.mark.parametrize("ends", [[3], [1, 2, 5, 7, 11, 20, 60]])
def test_the_same_bits_come_out_for_any_cut(ends):
    pool = with_statistics(make_pool(1500, features=6))
    one, many = choose("fid_gradient", [pool], 200), choose("fid_gradient", cut(pool, ends), 200)
    assert np.array_equal(one.row_ids, many.row_ids)
    assert np.array_equal(one.scores, many.scores)

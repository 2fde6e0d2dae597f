"""The map of a pool: near in features, near on the map; the same points, the same places."""

import numpy as np
import pytest

from distal.features.plane import FEWEST, laid_out, placed, sampled


def clusters(rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Return points [n, 8] of unit length in three clusters that two components cannot tell apart, and whose."""
    rng = np.random.default_rng(0)
    which = np.arange(rows) % 3
    points = 0.05 * rng.normal(size=(rows, 8))
    points[np.arange(rows), 3 + which] += 1.0
    points[:, 0] += 0.3 * rng.normal(size=rows)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), which


def test_what_is_alike_lies_together_within_the_frame() -> None:
    points, which = clusters()
    places = laid_out(points)
    assert places.dtype == np.float32
    assert np.abs(places).max() == pytest.approx(1.0)
    distances = np.linalg.norm(places[:, None] - places, axis=2) + 9.0 * np.eye(len(places))
    assert (which[distances.argmin(1)] == which).mean() == 1.0


def test_the_same_points_give_the_same_bytes() -> None:
    points, _ = clusters()
    assert laid_out(points).tobytes() == laid_out(points.copy()).tobytes()


def test_a_row_of_the_sample_stays_in_its_place_and_another_lies_among_its_like() -> None:
    points, which = clusters()
    sample, places = points[6:], laid_out(points[6:])
    np.testing.assert_allclose(placed(sample[:9], sample, places), places[:9], atol=1e-3)
    others = placed(points[:6], sample, places)
    nearest = np.linalg.norm(others[:, None] - places, axis=2).argmin(1)
    assert (which[6:][nearest] == which[:6]).all()


def test_a_row_lies_where_it_lies_whoever_is_placed_with_it() -> None:
    points, _ = clusters()
    places = laid_out(points[6:])
    np.testing.assert_allclose(placed(points[:6], points[6:], places)[2], placed(points[2:3], points[6:], places)[0])


@pytest.mark.parametrize(
    "points", [np.ones((0, 4)), np.ones((1, 4)), np.eye(FEWEST - 1), np.ones((40, 3)), np.ones((40, 1))], ids=str
)
def test_pools_too_small_or_too_alike_for_a_map_have_finite_places(points: np.ndarray) -> None:
    places = laid_out(points.astype(np.float32))
    assert places.shape == (len(points), 2)
    assert np.isfinite(places).all()


def test_the_sample_does_not_depend_on_the_order_and_is_all_of_a_small_pool() -> None:
    rows = np.arange(1000)
    chosen = sampled(rows, 100)
    assert len(chosen) == 100
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(sampled(rows[::-1], 100), chosen)
    np.testing.assert_array_equal(sampled(rows), rows)

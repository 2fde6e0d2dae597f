import numpy as np
import pytest
import torch

from distal.query import nearest
from distal.query.nearest import Nearest, Rows


def cover_of(x: np.ndarray) -> Nearest:
    return Nearest((torch.from_numpy(x),))


def rows_of(x: np.ndarray, positions: np.ndarray) -> Rows:
    return Rows(positions, (x[positions],))


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("features", [3, 64, 129, 700])
def test_a_distance_has_the_same_bits_with_other_neighbours_threads_and_grouping_of_centers(features, threads):
    draw = np.random.default_rng(features)
    x = draw.standard_normal((2500, features)).astype(np.float32)
    centers = draw.permutation(2500)[:150]
    threads(1)
    whole = cover_of(x)
    whole.add(rows_of(x, centers))
    for count, first in ((1, 10), (2, 64), (2, 100)):
        threads(count)
        some = np.sort(draw.permutation(2500)[:777])
        part = cover_of(np.ascontiguousarray(x[some]))
        part.add(rows_of(x, centers[:first]))
        part.add(rows_of(x, centers[first:]))
        part.refresh(np.arange(300, 777))
        part.refresh(np.arange(0, 401))
        assert np.array_equal(part.bound(), whole.bound()[some])


def test_rows_that_do_not_start_at_64_bytes_have_the_same_bits():
    draw = np.random.default_rng(0)
    x = draw.standard_normal((300, 37)).astype(np.float32)
    shifted = torch.empty(300 * 37 + 1)[1:].view(300, 37).copy_(torch.from_numpy(x))
    a, b = cover_of(x), Nearest((shifted,))
    for cover in (a, b):
        cover.add(rows_of(x, np.arange(20)))
    assert np.array_equal(a.bound(), b.bound())


def test_distances_agree_with_float64_within_the_rounding_of_float32():
    draw = np.random.default_rng(1)
    x = draw.standard_normal((1500, 40)).astype(np.float32)
    cover = cover_of(x)
    cover.add(rows_of(x, np.arange(0, 1500, 10)))
    exact = ((x[:, None].astype(np.float64) - x[None, ::10].astype(np.float64)) ** 2).sum(-1).min(1)
    norms = (x.astype(np.float64) ** 2).sum(1)
    # |error| <= 40 units of roundoff of |x|^2 + |c|^2 + 2 |x||c|, by the bound of a dot product of 40 terms.
    assert (np.abs(cover.bound() - exact) <= 40 * 2.0**-24 * 4 * norms.max()).all()


def test_factors_multiply_like_the_outer_product_that_is_never_formed():
    draw = np.random.default_rng(2)
    a, h = draw.standard_normal((200, 5)).astype(np.float32), draw.standard_normal((200, 7)).astype(np.float32)
    outer = (a[:, :, None] * h[:, None, :]).reshape(200, -1).astype(np.float64)
    cover = Nearest((torch.from_numpy(a), torch.from_numpy(h)))
    cover.add(Rows(np.arange(3), (a[:3], h[:3])))
    exact = ((outer[:, None] - outer[None, :3]) ** 2).sum(-1).min(1)
    assert np.allclose(cover.bound(), exact, rtol=1e-4, atol=1e-4)
    among = Rows(np.arange(200), (a, h)).squared_distances()
    assert np.allclose(among, ((outer[:, None] - outer[None]) ** 2).sum(-1), rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("features", [2, 128, 2048])
def test_exact_duplicates_are_at_distance_zero_even_far_from_the_origin(features):
    draw = np.random.default_rng(3)
    x = np.repeat(draw.standard_normal((50, features)).astype(np.float32) + 5.0, 4, axis=0)
    cover = cover_of(x)
    cover.add(rows_of(x, np.arange(0, 200, 4)))
    assert (cover.bound() == 0.0).all()
    assert (Rows(np.arange(200), (x,)).squared_distances()[::4, 1::4].diagonal() == 0.0).all()


def test_an_old_distance_is_an_upper_bound_and_is_lowered_only_where_asked():
    draw = np.random.default_rng(4)
    x = draw.standard_normal((500, 8)).astype(np.float32)
    cover = cover_of(x)
    cover.add(rows_of(x, np.arange(5)))
    before = cover.bound().copy()
    cover.add(rows_of(x, np.arange(5, 200)))
    assert np.array_equal(cover.stale(np.arange(500)), np.arange(500))
    cover.refresh(np.arange(100, 300))
    after = cover.bound()
    assert np.array_equal(after[300:], before[300:])
    assert (after <= before).all()
    assert (after[100:200] == 0.0).all()
    assert len(cover.stale(np.arange(100, 300))) == 0


def test_read_only_arrays_as_ray_delivers_them_are_taken():
    x = np.ones((4, 2), dtype=np.float32)
    x.setflags(write=False)
    cover = Nearest((torch.zeros(4, 2),))
    cover.add(Rows(np.arange(4), (x,)))
    assert (cover.bound() == 2.0).all()


def test_a_group_is_not_larger_than_the_coordinator_would_fill():
    assert nearest.ROWS % 16 == 0
    assert nearest.GROUP % 16 == 0

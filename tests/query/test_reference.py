import dataclasses

import numpy as np
import pytest
import torch
from query_pools import cut, make_pool

from distal.query import reference
from distal.query.reference import UNIT, Ball, Gaussian, Linear, Pooled, Reference, exact_sum


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("features", [3, 64, 129, 1280])
def test_a_similarity_has_the_same_bits_beside_other_rows_and_with_two_threads(features, threads):
    draw = np.random.default_rng(features)
    x = draw.standard_normal((1300, features)).astype(np.float32)
    threads(1)
    whole = Reference(x, Gaussian(1.0), None, torch.device("cpu")).matrix(torch.from_numpy(x))
    for count in (1, 2):
        threads(count)
        rows, columns = draw.permutation(1300)[:777], draw.permutation(1300)[:300]
        part = Reference(x[rows], Gaussian(1.0), None, torch.device("cpu")).matrix(torch.from_numpy(x[columns]))
        assert torch.equal(part, whole[rows][:, columns])


@pytest.mark.parametrize(
    ("kernel", "function"),
    [
        (Linear(), lambda squared: 1.0 - squared / 4.0),
        (Gaussian(0.8), lambda squared: np.exp(-squared / 0.64)),
        (Ball(1.2), lambda squared: squared < 1.44),
    ],
)
def test_similarities_are_those_of_rows_at_unit_length(kernel, function):
    x = np.random.default_rng(0).standard_normal((200, 5))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    squared = ((unit[:, None] - unit[None]) ** 2).sum(-1)
    weights = np.linspace(0.0, 1.0, 200).astype(np.float32)
    near = Reference(x.astype(np.float32), kernel, weights, torch.device("cpu")).matrix(torch.from_numpy(x).float())
    assert np.abs(near.numpy() / UNIT - weights[:, None] * function(squared)).max() < 5e-6
    assert torch.equal(near, near.round())


def test_sums_of_similarities_are_exact_in_any_order():
    tile = torch.from_numpy(np.random.default_rng(1).integers(0, int(UNIT) + 1, (512, 128)).astype(np.float32))
    exact = tile.double().sum(0)
    assert torch.equal(exact_sum(tile), exact)
    assert torch.equal(exact_sum(tile.flip(0)), exact)


def test_zero_rows_are_like_nothing_and_duplicates_lie_in_any_ball():
    x = torch.randn(64, 700, generator=torch.Generator().manual_seed(0))
    x[0] = 0.0
    near = Reference(x.numpy(), Linear(), None, torch.device("cpu")).matrix(x)
    assert (near[0] == UNIT / 2).all()
    near = Reference(x.numpy(), Ball(0.0), None, torch.device("cpu")).matrix(x * 3.7)
    assert torch.equal(near[1:, 1:], UNIT * torch.eye(63))


def drawn(view, total):
    return Pooled(view, (view.embeddings,), view.available | view.labeled).sample(int(total)).row_ids


@pytest.mark.parametrize("ends", [[], [2], [1, 4, 9, 10, 20, 31, 40]])
def test_the_sample_is_the_pool_itself_or_a_hashed_part_whatever_the_cut(monkeypatch, ends):
    monkeypatch.setattr(reference, "WHOLE", 500)
    monkeypatch.setattr(reference, "SAMPLE", 200)
    small, large = make_pool(400), make_pool(1000)
    for pool, fewest, most in ((small, None, None), (large, 150, 250)):
        used = pool.available | pool.labeled
        parts = [drawn(part, used.sum()) for part in cut(pool, ends)]
        assert np.array_equal(np.concatenate(parts), drawn(pool, used.sum()))
        rows = drawn(pool, used.sum())
        assert used[rows].all()
        assert len(rows) == used.sum() if fewest is None else fewest < len(rows) < most
    again = dataclasses.replace(large, round=2)
    assert not np.array_equal(drawn(again, 1000), drawn(large, 1000))

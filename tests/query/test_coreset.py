import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool, plain_k_center

from distal.errors import TrainingError
from distal.query import selection


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 150),
    k=st.integers(1, 160),
    seed=st.integers(0, 10_000),
    whole=st.integers(1, 6),
    labeled=st.sampled_from([0.0, 0.1, 0.6]),
    most=st.sampled_from([1, 2, 7, 64]),
    ends=st.lists(st.integers(0, 10), max_size=12),
)
def test_picks_and_ties_are_those_of_the_plain_loop_whatever_the_cut(n, k, seed, whole, labeled, most, ends):
    pool = make_pool(n, seed, features=2, labeled=labeled, whole=whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "FEWEST", min(most, selection.FEWEST))
        patch.setattr(selection, "MOST", most)
        chosen = choose("coreset", cut(pool, ends), k)
    picks, distances = plain_k_center(pool, k)
    assert chosen.row_ids.tolist() == picks
    # Integers below 2^12 are exact in float32, so only the root rounds.
    assert np.array_equal(chosen.scores, np.asarray(distances, dtype=np.float32))


def test_picks_on_real_numbers_are_those_of_the_plain_loop():
    pool = make_pool(3000, features=32, labeled=0.02)
    chosen = choose("coreset", cut(pool, [20, 90]), 200)
    picks, distances = plain_k_center(pool, 200)
    assert chosen.row_ids.tolist() == picks
    assert np.allclose(chosen.scores, distances, rtol=1e-5)
    assert chosen.passes < 20


def test_without_labels_the_first_pick_is_the_row_of_largest_norm():
    pool = make_pool(400, labeled=0.0, unavailable=0.0)
    chosen = choose("coreset", [pool], 5)
    norms = pool.embeddings.norm(dim=1)
    assert chosen.row_ids[0] == int(norms.argmax())
    assert chosen.scores[0] == pytest.approx(float(norms.max()))


def test_a_pool_of_one_image_repeated_is_asked_by_lowest_row_id():
    pool = make_pool(100, labeled=0.0, unavailable=0.2)
    pool.embeddings[:] = torch.randn(6, generator=torch.Generator().manual_seed(0)) + 3.0
    chosen = choose("coreset", cut(pool, [2, 4]), 50)
    assert np.array_equal(chosen.row_ids, np.flatnonzero(pool.available)[:50])
    assert (chosen.scores[1:] == 0.0).all()


def test_an_infinite_embedding_is_refused_and_the_row_is_named():
    pool = make_pool(100, labeled=0.0, unavailable=0.0)
    pool.embeddings[77, 2] = torch.inf
    with pytest.raises(TrainingError, match="row 77 is inf"):
        choose("coreset", cut(pool, [2]), 3)

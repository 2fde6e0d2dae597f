import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool

from distal.errors import TrainingError
from distal.query import STRATEGIES, View

NAMES = ["realism", "d_uncertainty", "gold", "ldr_mean", "ldr_variance", "coverage"]


def drawn_pool(n: int, seed: int = 0, moments: int = 5, whole: bool = False) -> View:
    """Give a pool what a discriminator would say; whole: integers, so that ties abound."""
    pool = make_pool(n, seed)
    draw = np.random.default_rng(seed + 1)
    ldr = draw.integers(-2, 3, (n, moments)) if whole else draw.standard_normal((n, moments)) * 3
    more = {"realism": ldr[:, -1], "ldr": ldr, "generated_distance": np.abs(ldr[:, 0])}
    tensors = {name: torch.from_numpy(array.astype(np.float32)) for name, array in more.items()}
    return dataclasses.replace(pool, tensors={**pool.tensors, **tensors})


def by_loops(name: str, pool: View, i: int) -> float:
    """Score one row by the equations, in float64."""
    c = float(pool.realism[i])
    ldr = [float(v) for v in pool.ldr[i]]
    mean = sum(ldr) / len(ldr)
    if name == "realism":
        return c
    if name == "d_uncertainty":
        return -abs(c)
    if name == "gold":
        return c - sum(p * math.log(p) for p in (float(v) for v in pool.probs[i]) if p > 0)
    if name == "ldr_mean":
        return mean
    if name == "ldr_variance":
        return sum((v - mean) ** 2 for v in ldr) / max(len(ldr) - 1, 1)
    return float(pool.generated_distance[i])


@pytest.mark.parametrize("name", NAMES)
def test_scores_are_those_of_the_equations(name):
    pool = drawn_pool(200)
    scores = STRATEGIES.find(name).make(pool).double().numpy()
    assert np.allclose(scores, [by_loops(name, pool, i) for i in range(200)], rtol=1e-5, atol=1e-6)
    assert STRATEGIES.find(name).tensors <= {"realism", "probs", "ldr", "generated_distance"}


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    n=st.integers(1, 200),
    k=st.integers(1, 220),
    seed=st.integers(0, 1000),
    whole=st.booleans(),
    ends=st.lists(st.integers(0, 12), max_size=9),
)
def test_the_same_bits_come_out_for_any_cut_and_ties_go_to_the_lowest_row_id(name, n, k, seed, whole, ends):
    pool = drawn_pool(n, seed, whole=whole)
    one, many = choose(name, [pool], k), choose(name, cut(pool, ends), k)
    assert np.array_equal(one.row_ids, many.row_ids)
    assert np.array_equal(one.scores, many.scores)
    scores = STRATEGIES.find(name).make(pool).double().numpy()
    expected = sorted(np.flatnonzero(pool.available).tolist(), key=lambda i: (-scores[i], i))[:k]
    assert one.row_ids.tolist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_of_the_model_is_refused_and_the_row_is_named(name):
    pool = drawn_pool(60)
    row = int(np.flatnonzero(pool.available)[7])
    for tensor in pool.tensors.values():
        tensor[row] = torch.nan
    with pytest.raises(TrainingError, match=f"row {row} is nan"):
        choose(name, cut(pool, [2]), 3)


def test_d_uncertainty_orders_rows_as_the_sigmoid_does_and_goes_on_where_that_is_one():
    pool = drawn_pool(300)
    scores = STRATEGIES.find("d_uncertainty").make(pool).numpy()
    by_sigmoid = -np.abs(1.0 / (1.0 + np.exp(-pool.realism.double().numpy())) - 0.5)
    assert np.array_equal(np.argsort(scores, kind="stable"), np.argsort(by_sigmoid, kind="stable"))
    far = dataclasses.replace(pool, tensors={"realism": torch.linspace(60.0, 90.0, 300)})
    free = np.flatnonzero(pool.available)
    assert choose("d_uncertainty", [far], 5).row_ids.tolist() == free[:5].tolist()


def test_one_moment_of_training_has_no_variance():
    pool = drawn_pool(40, moments=1)
    assert (choose("ldr_variance", [pool], 5).scores == 0.0).all()


def test_rows_of_a_class_that_nothing_was_drawn_for_come_first():
    pool = drawn_pool(60)
    rows = np.flatnonzero(pool.available)[[3, 9]]
    pool.generated_distance[torch.from_numpy(rows)] = torch.inf
    assert choose("coverage", cut(pool, [2]), 5).row_ids[:2].tolist() == rows.tolist()

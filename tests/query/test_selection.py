import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from query_pools import choose, cut, make_pool

from distal.errors import StrategyError, TrainingError
from distal.query import NEEDS, STRATEGIES, LocalShards, Selector, Strategy, information, rare, reference, select
from distal.query.batch import best


def there_and_back(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301  our own bytes, as Ray would send them


MADE = ["0.3*margin+0.7*random", "coreset+margin", "per_cost:entropy", "class_balanced:margin", "class_balanced:badge"]
GIVEN = make_pool(1).tensors.keys()
CHOOSING = {name: strategy for name, strategy in sorted(STRATEGIES.entries.items()) if strategy.kind != "phased"}
NAMES = [*(name for name, strategy in CHOOSING.items() if strategy.tensors <= GIVEN), *MADE]


@contextmanager
def few_cases():
    """Let batchbald draw joint answers from 64 on, not 512: each of its picks looks at all of them for every row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(information, "CASES", 64)
        patch.setattr(information, "GROUPS", 8)
        yield


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(
    n=st.integers(1, 400),
    k=st.one_of(st.integers(1, 30), st.integers(30, 420)),
    seed=st.integers(0, 10_000),
    whole=st.integers(0, 2),
    labeled=st.sampled_from([0.0, 0.3, 1.0]),
    ends=st.lists(st.integers(0, 25), min_size=1, max_size=30),
    turn=st.randoms(use_true_random=False),
)
def test_the_same_bits_come_out_for_any_cut_and_any_order_of_shards(name, n, k, seed, whole, labeled, ends, turn):
    pool = make_pool(n, seed, labeled=labeled, whole=whole)
    shards = cut(pool, ends)
    turn.shuffle(shards)
    with few_cases():
        one, many = choose(name, [pool], k), choose(name, shards, k)
    assert np.array_equal(one.row_ids, many.row_ids)
    assert np.array_equal(one.scores, many.scores)
    assert one.passes == many.passes
    assert len(one.row_ids) == min(k, int(pool.available.sum()))
    assert len(set(one.row_ids.tolist())) == len(one.row_ids)
    assert pool.available[one.row_ids].all()


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_rows_on_eight_shards_and_two_threads_give_the_bits_of_one_shard_and_one_thread(name):
    pool = make_pool(1000, features=40, classes=10, block_rows=64)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = choose(name, [pool], 8)
        torch.set_num_threads(2)
        many = choose(name, cut(pool, [1, 3, 4, 9, 12, 13, 14]), 8)
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(one.row_ids, many.row_ids)
    assert np.array_equal(one.scores, many.scores)


@given(st.lists(st.integers(-3, 3), max_size=40), st.integers(0, 50))
def test_best_orders_by_key_then_position(keys, count):
    expected = sorted(range(len(keys)), key=lambda i: (-keys[i], i))[:count]
    assert best(np.asarray(keys, dtype=np.float64), count).tolist() == expected


@pytest.mark.parametrize("name", NAMES)
def test_traffic_does_not_grow_with_the_pool(name, monkeypatch):
    monkeypatch.setattr(rare, "GRAPH", 1000)
    monkeypatch.setattr(reference, "WHOLE", 1000)  # beyond it a sample stands for the pool
    monkeypatch.setattr(reference, "SAMPLE", 500)
    small, large = make_pool(2000, labeled=0.0), make_pool(20_000, labeled=0.0)
    with few_cases():
        a, b = choose(name, [small], 20), choose(name, [large], 20)
    assert 0 < b.bytes_moved <= 2 * a.bytes_moved


@pytest.mark.parametrize("name", ["coreset", "badge"])
def test_a_further_shard_is_told_the_picks_and_sends_keys_not_rows(name):
    k, features, classes = 64, 500, 10
    pool = make_pool(6000, features=features, classes=classes, block_rows=256, labeled=0.0)
    one, eight = choose(name, [pool], k), choose(name, cut(pool, [3, 6, 9, 12, 15, 18, 21]), k)
    row = 8 + 4 * (features + (classes if name == "badge" else 0))
    proposal, fetch = (k + 1) * (8 + 8 + 4), k * 8
    assert eight.bytes_moved - one.bytes_moved <= 7 * (k * row + one.passes * (proposal + fetch))


def test_bytes_moved_count_what_shards_send():
    pool = make_pool(640)
    assert choose("margin", [pool], 10).bytes_moved == 10 * (8 + 8)
    assert choose("margin", cut(pool, [20]), 10).bytes_moved == 20 * (8 + 8)


@pytest.mark.parametrize("name", NAMES)
def test_all_that_leaves_a_shard_can_be_pickled_and_so_can_its_strategy(name):
    class Pickled(LocalShards):
        def call(self, method, *args):
            return there_and_back(super().call(method, *there_and_back(args)))

    pool, strategy = make_pool(200), there_and_back(STRATEGIES.find(name))
    group = Pickled([Selector(view, strategy) for view in cut(pool, [4])])
    assert np.array_equal(select(group, strategy, 20, 0, 1).row_ids, choose(name, [pool], 20).row_ids)


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_without_an_available_row_gives_an_empty_batch(name):
    assert len(choose(name, [make_pool(50, unavailable=1.0)], 5).row_ids) == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_of_one_image_repeated_gives_a_full_batch_without_repeats(name):
    pool = make_pool(100, unavailable=0.2)
    for tensor in pool.tensors.values():
        tensor[:] = tensor[0].clone()
    chosen = choose(name, cut(pool, [2, 4]), 30).row_ids
    assert len(set(chosen.tolist())) == 30
    assert pool.available[chosen].all()


@pytest.mark.parametrize("name", [name for name in NAMES if STRATEGIES.find(name).needs])
def test_what_is_not_finite_is_refused_and_the_row_is_named(name):
    for need in STRATEGIES.find(name).tensors:
        pool = make_pool(100, labeled=0.0, unavailable=0.0)
        pool.tensors[need][77] = torch.nan
        with pytest.raises(TrainingError, match="row 77 is nan") as caught:
            choose(name, cut(pool, [2]), 3)
        assert len(str(caught.value).splitlines()) <= 3


def test_a_batch_of_no_row_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        choose("margin", [make_pool(50)], 0)


def score(make, pool, k=5):
    strategy = Strategy("mine", NEEDS, "score", make)
    return select(LocalShards([Selector(view, strategy) for view in cut(pool, [2])]), strategy, k, 0, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda view: view.probs[:, :1], r"torch.float32 and shape \((32|18), 1\)"),
        (lambda view: None, "a NoneType that holds no numbers"),
        (lambda view: ["high"] * len(view.row_ids), "a list that holds no numbers"),
    ],
)
def test_scores_that_are_not_one_number_a_row_are_refused_by_the_name_of_the_strategy(make, words):
    with pytest.raises(StrategyError, match=f"strategy 'mine' returned .*{words}"):
        score(make, make_pool(50))


@pytest.mark.parametrize("form", [np.asarray, list, torch.as_tensor])
def test_scores_may_be_a_tensor_an_array_or_a_list(form):
    pool = make_pool(50)
    chosen = score(lambda view: form(-view.row_ids), pool)
    assert np.array_equal(chosen.row_ids, np.flatnonzero(pool.available)[:5])


def test_a_nan_of_the_strategys_own_is_not_laid_at_the_models_door():
    pool = make_pool(50, labeled=0.0, unavailable=0.0)
    with pytest.raises(StrategyError, match=r"strategy 'mine': score of row 40 is nan.*\n.*it is the strategy") as told:
        score(lambda view: np.where(view.row_ids == 40, np.nan, 0.0), pool)
    assert "learning_rate" not in str(told.value)
    pool.embeddings[40, 0] = torch.inf
    with pytest.raises(TrainingError, match=r"row 40 is nan.*\n.*lower model\.learning_rate_g"):
        score(lambda view: view.embeddings[:, 0] * 0.0, pool)

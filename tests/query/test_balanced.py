import numpy as np
import pytest
from query_pools import choose, cut, make_pool

from distal.query import STRATEGIES
from distal.query.balanced import quotas


def test_quotas_make_labels_and_picks_as_even_as_the_rows_allow():
    assert quotas(np.array([5, 0, 2]), np.array([100, 100, 100]), 4).tolist() == [0, 3, 1]
    assert quotas(np.array([5, 0, 2]), np.array([100, 1, 100]), 4).tolist() == [0, 1, 3]
    assert quotas(np.array([0, 0, 0]), np.array([1, 0, 1]), 9).tolist() == [1, 0, 1]


@pytest.mark.parametrize("name", ["margin", "coreset", "direct", "0.5*margin+0.5*entropy"])
def test_within_a_class_the_picks_are_those_of_the_strategy_alone(name):
    pool = make_pool(400)
    predicted = pool.probs.argmax(1).numpy()
    room = np.bincount(predicted[pool.available], minlength=4)
    given = quotas(pool.class_counts, room, 21)
    chosen = choose(f"class_balanced:{name}", cut(pool, [4, 11]), 21).row_ids
    for c in range(4):
        only = make_pool(400)
        only.available[predicted != c] = False
        mine = chosen[predicted[chosen] == c]
        assert mine.tolist() == (choose(name, [only], int(given[c])).row_ids.tolist() if given[c] else [])


def test_the_first_pick_of_each_class_comes_before_any_second():
    pool = make_pool(400, labeled=0.0)
    predicted = pool.probs.argmax(1).numpy()
    chosen = choose("class_balanced:margin", [pool], 8).row_ids
    assert sorted(predicted[chosen[:4]].tolist()) == [0, 1, 2, 3]


def test_it_needs_probabilities_besides_what_the_strategy_needs():
    assert STRATEGIES.find("class_balanced:coreset").needs == {"probs", "embeddings"}

import numpy as np
import pytest
import torch
from query_pools import choose, make_pool

from distal.errors import ConfigError
from distal.query import (
    NEEDS,
    STRATEGIES,
    Badge,
    Strategy,
    View,
    as_strategy,
    score_strategy,
)
from distal.query.view import STATISTICS


@pytest.fixture
def clean_registry(monkeypatch):
    monkeypatch.setattr(STRATEGIES, "entries", dict(STRATEGIES.entries))


def test_the_standard_names_are_there():
    assert {"random", "entropy", "margin", "least_confidence", "coreset", "badge"} <= set(STRATEGIES.names())


def test_an_unknown_name_is_refused_with_the_known_and_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'margin'") as caught:
        STRATEGIES.find("margn")
    assert "coreset" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3


def test_gradients_ask_for_their_factors():
    assert STRATEGIES.find("badge").tensors == {"probs", "embeddings"}
    assert STRATEGIES.find("coreset").tensors == {"embeddings"}
    assert STRATEGIES.find("random").tensors == frozenset()


@pytest.mark.usefixtures("clean_registry")
def test_a_function_with_a_decorator_is_a_strategy(monkeypatch):
    @score_strategy("lowest_id", needs={"probs"})
    def lowest_id(view: View) -> torch.Tensor:
        return -torch.from_numpy(view.row_ids).float()

    pool = make_pool(64)
    assert np.array_equal(choose("lowest_id", [pool], 5).row_ids, np.flatnonzero(pool.available)[:5])


@pytest.mark.usefixtures("clean_registry")
def test_a_taken_name_is_refused():
    with pytest.raises(ConfigError, match="registered already"):
        score_strategy("margin")(lambda view: view)


def mine(view: View) -> torch.Tensor:
    return view.need("realism")


def test_a_function_that_nobody_registered_is_a_strategy_that_is_shown_everything():
    assert as_strategy(mine) == Strategy("mine", NEEDS, "score", mine)
    of_frozen_features = {"features", "committee", "dropout_probs", "generated_distance", *STATISTICS}
    assert as_strategy(mine).tensors == {"probs", "embeddings", "realism", "ldr"} | of_frozen_features
    assert as_strategy(as_strategy(mine)) == as_strategy(mine)


@pytest.mark.usefixtures("clean_registry")
def test_a_function_or_class_that_is_registered_keeps_its_name_and_needs():
    assert as_strategy(Badge) is STRATEGIES.find("badge")
    assert as_strategy(score_strategy("other", needs="probs")(mine)) == Strategy("other", {"probs"}, "score", mine)


def margin(view: View) -> torch.Tensor:
    return view.need("probs")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda view: None, "'<lambda>' is no function with a name"),
        ("badge", "'str' is no function.*\n.*\n.*goes into query.strategy"),
        (View, "'View' is no function"),
        (margin, r"margin\(\) has the name of another strategy.*\nRename it"),
    ],
)
def test_what_can_be_no_strategy_is_refused_with_what_to_do(given, words):
    with pytest.raises(ConfigError, match=words) as told:
        as_strategy(given)
    assert len(str(told.value).splitlines()) <= 3

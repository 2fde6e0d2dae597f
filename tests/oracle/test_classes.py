"""Labels are read as people give them."""

import time

import numpy as np
import pytest
import torch

from distal.errors import ConfigError
from distal.oracle.classes import Classes, UnreadableLabelError

CLASSES = Classes(("cat", "dog", "Löwe"), {"dog": 2.5})


@pytest.mark.parametrize(
    ("given", "index"),
    [
        ("dog", 1),
        (" Dog ", 1),
        ("löwe", 2),
        ("LÖWE", 2),
        (1, 1),
        (np.int64(2), 2),
        (torch.tensor(0), 0),
        ("2", 2),
        ("1.0", 1),
    ],
)
def test_names_in_any_case_and_indices_are_understood(given, index):
    assert CLASSES.index(given) == index


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("dgo", "did you mean 'dog'"),
        (3, "expected 0 to 2"),
        (-1, "expected 0 to 2"),
        ("7", "expected 0 to 2"),
        (1.0, "float"),
        (True, "bool"),
        (np.array([1, 2]), "no label"),
        ("1.5", "no class"),
        ("nan", "no class"),
    ],
)
def test_what_is_no_label_is_refused_with_a_reason(given, says):
    with pytest.raises(UnreadableLabelError, match=says):
        CLASSES.index(given)


def test_a_name_wins_over_an_index():
    assert Classes(("2", "1", "0"), {}).index("2") == 0


def test_names_that_differ_in_case_alone_are_told_apart():
    classes = Classes(("a", "A"), {})
    assert (classes.index("a"), classes.index("A")) == (0, 1)


def test_a_cost_is_that_of_the_class_or_1():
    assert [CLASSES.cost(label) for label in (0, 1, None)] == [1.0, 2.5, 1.0]


def test_the_cost_of_a_class_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'dog'"):
        Classes(("cat", "dog"), {"doge": 1.0})


def test_many_classes_are_read_in_a_moment():
    names = [f"class {index}" for index in range(50_000)]
    start = time.process_time()
    assert Classes(names, {}).index("CLASS 49999") == 49_999
    assert time.process_time() - start < 2.0

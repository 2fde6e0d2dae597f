"""A function answers one row after another, and what it answered stays whatever it does next."""

import numpy as np
import pytest
from pool_of_rows import CLASSES, PoolOfRows, encoded

from distal.errors import OracleError
from distal.oracle.callable import CallableOracle
from distal.oracle.classes import Classes
from distal.run.ledger import Ledger


def oracle(function, pool=None) -> CallableOracle:
    return CallableOracle(function, pool or PoolOfRows(), Classes(CLASSES, {"dog": 2.0}), 50_000_000)


def annotate(made: CallableOracle, run, query) -> None:
    ledger = Ledger(run)
    made.submit(query)
    for answers in made.collect(query, ledger.pending(query)):
        ledger.record(query.round, answers)


def test_a_function_may_return_an_index_a_name_or_none(run, query):
    replies = iter([1, "Löwe", None, np.int64(0)])
    annotate(oracle(lambda item: next(replies)), run, query)
    assert [(a.row_id, a.label, a.cost) for a in Ledger(run).answers(1)] == [
        (7, 1, 2.0),
        (3, 2, 1.0),
        (5, None, 1.0),
        (12, 0, 1.0),
    ]


def test_a_function_sees_the_image_as_it_was_recorded(run, query):
    colour = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    seen = []
    annotate(oracle(lambda item: seen.append(item), PoolOfRows({3: encoded(colour)})), run, query)
    assert [(item.row_id, item.path, item.round) for item in seen[:2]] == [(7, "img/7.png", 1), (3, "img/3.png", 1)]
    assert seen[0].image.shape == (12, 10)
    assert seen[0].image.dtype == np.uint8
    assert (seen[0].image == 7).all()
    assert np.array_equal(seen[1].image, colour)


def test_each_answer_is_durable_before_the_next_call(run, query):
    counts = []
    annotate(oracle(lambda item: counts.append(Ledger(run).count())), run, query)
    assert counts == [0, 1, 2, 3]


def test_an_exception_keeps_what_was_answered_and_the_next_run_goes_on_there(run, query):
    def fails(item):
        if item.row_id == 5:
            raise ValueError("no\nlight")
        return 0

    with pytest.raises(OracleError) as caught:
        annotate(oracle(fails), run, query)
    assert "row 5: the label function raised ValueError: no light\n2 answers of round 1 are kept" in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    asked = []
    annotate(oracle(lambda item: asked.append(item.row_id)), run, query)
    assert asked == [5, 12]
    assert Ledger(run).count() == 4


def test_an_interrupt_keeps_what_was_answered(run, query):
    def interrupted(item):
        if item.row_id == 3:
            raise KeyboardInterrupt
        return 0

    with pytest.raises(KeyboardInterrupt):
        annotate(oracle(interrupted), run, query)
    assert [a.row_id for a in Ledger(run).answers(1)] == [7]


@pytest.mark.parametrize("bad", [3, -1, "dgo", 1.0, True, [1], object()])
def test_what_is_no_label_names_the_row_and_the_classes(run, query, bad):
    with pytest.raises(OracleError, match="row 7: the label function returned") as caught:
        annotate(oracle(lambda item: bad), run, query)
    assert "cat, dog, Löwe" in str(caught.value)
    assert str(caught.value).count("\n") == 2
    assert Ledger(run).count() == 0


@pytest.mark.parametrize(
    "data", [b"", b"no image", encoded(np.zeros((100, 100), np.uint8))], ids=["empty", "text", "too many pixels"]
)
def test_an_original_that_cannot_be_shown_gives_way_to_the_decoded_pixels(run, query, data):
    seen = []
    made = CallableOracle(seen.append, PoolOfRows({7: data}), Classes(CLASSES, {}), max_pixels=5000)
    annotate(made, run, query)
    assert seen[0].image.shape == (8, 8)


def test_deep_images_are_stretched_so_that_they_can_be_seen(run, query):
    deep = np.array([[100, 300], [200, 400]], dtype=np.uint16)
    seen = []
    annotate(oracle(seen.append, PoolOfRows({7: encoded(deep)})), run, query)
    assert seen[0].image.tolist() == [[0, 170], [85, 255]]

"""Where the pixels of a row come from, with actors that are not there; `tests/test_learner.py` has real ones."""

import time
from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np
import pytest
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from distal.config import PoolConfig
from distal.data import cache as cache_module
from distal.data.few import FewRows
from distal.data.table import ImageTable, open_images
from distal.errors import ClusterError, StorageError
from distal.pool.calls import Piece
from distal.pool.served import ANSWER_S, LastRows, ServedRows

BLOCK = 16
BOUNDS = [(0, 2), (2, 5), (5, 113)]


class Handle:
    """Stand for a shard actor: note what it is asked, answer from its own node's cache when it is waited for."""

    def __init__(self, images: ImageTable) -> None:
        self.images, self.asked, self.kept, self.silent = images, list[list[int]](), list[bool](), False
        self.gone = False

    @property
    def pixels(self) -> "Handle":
        return self

    def options(self, max_task_retries: int) -> "Handle":
        assert max_task_retries == -1
        return self

    def remote(self, row_ids: np.ndarray, own: bool = True) -> Callable[[], np.ndarray]:
        self.asked.append(row_ids.tolist())
        self.kept.append(own)

        def answer() -> np.ndarray:
            if self.silent:
                raise GetTimeoutError
            if self.gone:
                raise RayActorError
            return self.images.pixels(row_ids)

        return answer


def has_come(answer: Callable[[], np.ndarray]) -> bool:
    try:
        answer()
    except GetTimeoutError:
        return False
    except RayActorError:
        return True
    return True


@pytest.fixture
def table(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ImageTable]:
    """Return the pool as the node of this name sees it."""
    monkeypatch.setattr(cache_module, "_CHUNK_ROWS", 2 * BLOCK)
    return lambda node: open_images(PoolConfig(cache=str(tmp_path / node), block_rows=BLOCK))


@pytest.fixture
def expected(table: Callable[[str], ImageTable]) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives the pixels of row ids on a node that has none of its own, nor shards."""
    return table("alone").pixels


@pytest.fixture
def served(table: Callable[[str], ImageTable], monkeypatch: pytest.MonkeyPatch) -> tuple[ServedRows, list[Handle]]:
    """Return rows on a node that has decoded the chunk of rows 32 to 63 alone, and three shards elsewhere."""
    monkeypatch.setattr("ray.get", lambda answer, timeout: answer())
    monkeypatch.setattr("ray.wait", lambda answers, timeout: (list(filter(has_come, answers)), []))
    here = table("here")
    here.skipped(2, 4)
    handles = [Handle(table("there")) for _ in BOUNDS]
    return ServedRows(here, handles, BOUNDS), handles


def test_rows_come_in_the_order_of_the_ids_from_this_node_or_from_the_shards_that_own_them(
    served: tuple[ServedRows, list[Handle]], expected: Callable[[np.ndarray], np.ndarray], tmp_path: Any
) -> None:
    rows, handles = served
    ids = np.array([1796, 40, 3, 63, 3, 64, 40, 31, 79, 80])
    assert np.array_equal(rows.pixels(ids), expected(ids))
    assert [handle.asked for handle in handles] == [[[3, 3, 31]], [[64, 79]], [[1796, 80]]]
    assert [path.name for path in tmp_path.glob("here/decoded/*/chunk-*")] == ["chunk-000001.u8"]


def test_shards_are_asked_at_the_request_and_only_for_what_this_node_lacks(
    served: tuple[ServedRows, list[Handle]], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    rows, handles = served
    rows.request(np.array([5]))
    assert handles[0].asked == [[5]]
    held = np.array([33, 32])
    assert np.array_equal(rows.pixels(held), expected(held))
    assert rows.pixels(np.zeros(0, np.int64)).shape == (0, 1, 8, 8)
    assert [len(handle.asked) for handle in handles] == [1, 0, 0]


def test_in_place_of_a_shard_that_does_not_answer_another_reads_its_rows_and_keeps_nothing(
    served: tuple[ServedRows, list[Handle]],
    expected: Callable[[np.ndarray], np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, handles = served
    waited: list[float] = []

    def get(answer: Callable[[], np.ndarray], timeout: float) -> np.ndarray:
        waited.append(timeout)
        return answer()

    monkeypatch.setattr("ray.get", get)
    handles[0].silent = True
    ids = np.array([0, 70, 8])
    first, second = rows.request(ids), rows.request(ids)
    assert np.array_equal(first(), expected(ids))
    assert np.array_equal(second(), expected(ids))
    assert np.array_equal(rows.pixels(ids), expected(ids))
    assert sum(seconds > ANSWER_S - 60 for seconds in waited) == 1 + 4  # once in vain, and for what the others sent
    assert handles[0].asked == [[0, 8]] * 2, "asked no more"
    stand_in = handles[1] if [0, 8] in handles[1].asked else handles[2]
    assert [own for rows, own in zip(stand_in.asked, stand_in.kept, strict=True) if rows == [0, 8]] == [False] * 2


def test_a_shard_that_answers_late_is_asked_again_from_then_on(
    served: tuple[ServedRows, list[Handle]], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    rows, handles = served
    handles[0].silent = True
    ids = np.array([0, 8])
    assert np.array_equal(rows.pixels(ids), expected(ids))
    assert np.array_equal(rows.pixels(ids + 1), expected(ids + 1))
    assert handles[0].asked == [[0, 8]]
    handles[0].silent = False
    assert np.array_equal(rows.pixels(ids + 2), expected(ids + 2))
    assert handles[0].asked == [[0, 8], [2, 10]]


def test_a_shard_that_died_for_good_is_not_asked_again(
    served: tuple[ServedRows, list[Handle]], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    rows, handles = served
    handles[0].gone = True
    for row in range(3):
        assert np.array_equal(rows.pixels(np.array([row])), expected(np.array([row])))
    assert handles[0].asked == [[0]]


def test_shards_that_do_not_answer_are_waited_for_together(
    served: tuple[ServedRows, list[Handle]],
    expected: Callable[[np.ndarray], np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows, handles = served
    began = now = time.monotonic()

    def get(answer: Callable[[], np.ndarray], timeout: float) -> np.ndarray:
        nonlocal now
        try:
            return answer()
        except GetTimeoutError:
            now += timeout
            raise

    monkeypatch.setattr("ray.get", get)
    monkeypatch.setattr("distal.pool.served.time.monotonic", lambda: now)
    handles[0].silent = handles[1].silent = True
    ids = np.array([0, 70, 1796])
    assert np.array_equal(rows.pixels(ids), expected(ids))
    assert now - began == pytest.approx(ANSWER_S)


def test_shards_of_which_none_answers_end_the_run_in_words(served: tuple[ServedRows, list[Handle]]) -> None:
    for handle in served[1]:
        handle.silent = True
    with pytest.raises(ClusterError, match=rf"no shard has sent pixels within {ANSWER_S:g} s: .*\n.*distal resume"):
        served[0].pixels(np.array([0]))


def test_rows_that_changed_hands_are_asked_of_who_has_them(
    served: tuple[ServedRows, list[Handle]], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    rows, handles = served
    a, _, c = handles
    rows.follow([Piece((0, 2), a), Piece((2, 4), a), Piece((4, 113), c)])
    ids = np.array([70, 0])
    assert np.array_equal(rows.pixels(ids), expected(ids))
    assert (a.asked, c.asked) == ([[0]], [[70]])


def test_a_shard_whose_disk_is_full_says_so_itself(
    served: tuple[ServedRows, list[Handle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(asked: list[Any], timeout: float) -> None:
        raise RayTaskError("pixels", "traceback", StorageError("its disk is full"))

    monkeypatch.setattr("ray.get", fail)
    with pytest.raises(StorageError, match=r"^its disk is full$"):
        served[0].pixels(np.array([0]))


def test_a_few_rows_are_shown_without_decoding_those_around_them(
    table: Callable[[str], ImageTable],
    expected: Callable[[np.ndarray], np.ndarray],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = table("here")
    here.skipped(2, 4)
    few = FewRows(here)
    ids = np.array([70, 40, 2])
    assert np.array_equal(few.pixels(ids), expected(ids))
    assert [path.name for path in tmp_path.glob("here/decoded/*/chunk-*")] == ["chunk-000001.u8"]
    monkeypatch.setattr(here, "originals", lambda row_ids: [])
    assert np.array_equal(few.pixels(ids[::-1]), expected(ids[::-1]))


def test_rows_that_come_again_and_again_travel_once(
    served: tuple[ServedRows, list[Handle]], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    rows, handles = served
    ids = np.array([70, 40, 3])
    assert np.array_equal(rows.pixels(ids), expected(ids))
    again = np.array([3, 71, 70, 33, 70])
    assert np.array_equal(rows.pixels(again), expected(again))
    assert [handle.asked for handle in handles] == [[[3]], [[70], [71]], []]
    assert copy(rows._last).find(ids) == {}


def test_what_is_kept_has_a_limit_and_what_was_used_last_stays() -> None:
    pixels = np.arange(8, dtype=np.uint8).reshape(4, 1, 2, 1)
    last = LastRows(limit=3 * 2)
    last.keep(np.array([0, 1, 2]), pixels[:3])
    assert last.find(np.array([0]))[0].tolist() == [[[0], [1]]]
    last.keep(np.array([3]), pixels[3:])
    assert set(last.find(np.arange(4))) == {0, 2, 3}

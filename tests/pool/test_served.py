"""Where the pixels of a row come from, with actors that are not there; `tests/test_learner.py` has real ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray.exceptions import GetTimeoutError, RayTaskError

from distal.config import PoolConfig
from distal.data import cache as cache_module
from distal.data.few import FewRows
from distal.data.table import ImageTable, open_images
from distal.errors import ClusterError, StorageError
from distal.pool.served import ANSWER_S, ServedRows

BLOCK = 16
BOUNDS = [(0, 2), (2, 5), (5, 113)]


class Handle:
    """Stand for a shard actor: note what it is asked, answer from its own node's cache when it is waited for."""

    def __init__(self, images: ImageTable) -> None:
        self.images, self.asked = images, list[list[int]]()

    @property
    def pixels(self) -> "Handle":
        return self

    def options(self, max_task_retries: int) -> "Handle":
        assert max_task_retries == -1
        return self

    def remote(self, row_ids: np.ndarray) -> Callable[[], np.ndarray]:
        self.asked.append(row_ids.tolist())
        return lambda: self.images.pixels(row_ids)


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


def test_a_shard_that_does_not_answer_is_told_in_words(
    served: tuple[ServedRows, list[Handle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(asked: list[Any], timeout: float) -> None:
        raise GetTimeoutError

    monkeypatch.setattr("ray.get", late)
    with pytest.raises(ClusterError, match=rf"within {ANSWER_S:g} s .*a node may be lost.\n.*distal resume"):
        served[0].pixels(np.array([0]))


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

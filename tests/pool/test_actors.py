"""What shard actors are given and asked, without Ray; `tests/system/test_kills.py` has them die."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distal.config import Config
from distal.data.table import ImageTable, open_images
from distal.pool.actors import ShardActors
from distal.pool.shard import Ready
from distal.query import STRATEGIES, Known

NONE = np.zeros(0, dtype=np.int64)


class Created:
    """Stand for Ray's actor class, and note what each actor is made of."""

    def __init__(self) -> None:
        self.arguments: list[tuple[Any, ...]] = []

    def options(self, **settings: Any) -> "Created":
        return self

    def remote(self, *arguments: Any) -> None:
        self.arguments.append(arguments)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what is put into Ray's store."""
    values: list[Any] = []

    def put(value: Any) -> Any:
        values.append(value)
        return value

    monkeypatch.setattr("ray.put", put)
    return values


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> Created:
    actor = Created()
    monkeypatch.setattr("ray.remote", lambda **needs: lambda held: actor)
    monkeypatch.setattr("ray.nodes", list)
    return actor


@pytest.fixture
def images(small_config: Callable[..., Config]) -> ImageTable:
    return open_images(small_config().pool)


def test_a_large_pools_table_is_stored_once_for_all_actors(
    images: ImageTable, created: Created, stored: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ShardActors(images, 3, 0.0, 0, 1.0, 0.0, "run", 60.0)
    assert stored == []
    monkeypatch.setattr("distal.pool.actors.INLINE_BYTES", 0)
    ShardActors(images, 3, 0.0, 0, 1.0, 0.0, "run", 60.0)
    assert [id(value) for value in stored] == [id(images)]
    assert [id(arguments[1]) for arguments in created.arguments[3:]] == [id(images)] * 3


@pytest.mark.parametrize(("gains", "agreed"), [([True, True], True), ([True, False], False)])
def test_all_shards_score_in_what_the_weakest_gains_from(
    images: ImageTable,
    created: Created,
    stored: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    gains: list[bool],
    agreed: bool,
) -> None:
    shards = ShardActors(images, 2, 0.0, 0, 1.0, 0.0, "run", 60.0)
    asked: list[tuple[Any, ...]] = []

    def answer(method: str, *arguments: Any) -> list[Ready]:
        asked.append(arguments)
        return [Ready(1, 1, [], own) for own in gains]

    monkeypatch.setattr(shards, "_everywhere", answer)
    monkeypatch.setattr(shards, "_await_start", lambda: None)
    shards.prepare()
    shards.open_round(2, STRATEGIES.find("margin"), b"scorer", NONE, Known(NONE, NONE, 2))
    assert asked[-1][-4] is agreed

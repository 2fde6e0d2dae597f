"""A pool held in this process answers as shard actors do, and leaves the process as it was."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from distal.config import Config
from distal.data.table import open_images
from distal.errors import ConfigError, StrategyError
from distal.models import GAN
from distal.pool.local import LocalShard
from distal.pool.shard import Shard
from distal.query import STRATEGIES, Known, Strategy, select
from distal.resolve import make_config

NONE = np.zeros(0, dtype=np.int64)


def break_down(view: object) -> torch.Tensor:
    raise ZeroDivisionError("by nothing")


@pytest.fixture
def scorer(small_config: Callable[..., Config]) -> bytes:
    return GAN.create(small_config(), 8, 1, 10).scorer().to_bytes()


@pytest.mark.parametrize("strategy", ["random", "margin", "badge"])
def test_the_picks_are_those_of_two_shards(small_config: Callable[..., Config], scorer: bytes, strategy: str) -> None:
    images = open_images(small_config().pool)
    local = LocalShard(images, 0.25, seed=0)
    (ready,) = local.prepare()
    shards = [Shard(images, 0, 3, 0.25, seed=0), Shard(images, 3, images.blocks, 0.25, seed=0)]
    assert ready.available == sum(shard.prepare().available for shard in shards)

    class Two:
        def call(self, method: str, *args: object) -> list[object]:
            return [shard.select(method, *args) for shard in shards]

    chosen = STRATEGIES.find(strategy)
    local.open_round(2, chosen, scorer, NONE, Known(NONE, NONE, 2))
    for shard in shards:
        shard.open_round(2, chosen, scorer, NONE, Known(NONE, NONE, 2))
    one, two = (select(group, chosen, 12, seed=0, round=2) for group in (local, Two()))
    assert one.row_ids.tolist() == two.row_ids.tolist()
    assert one.scores.tolist() == two.scores.tolist()


def test_scoring_leaves_the_threads_as_they_were(small_config: Callable[..., Config], scorer: bytes) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        local = LocalShard(open_images(small_config().pool), 0.0, seed=0)
        local.prepare()
        local.open_round(2, STRATEGIES.find("margin"), scorer, NONE, Known(NONE, NONE, 2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_strategy_that_fails_is_named_with_its_line(small_config: Callable[..., Config], scorer: bytes) -> None:
    local = LocalShard(open_images(small_config().pool), 0.0, seed=0)
    local.prepare()
    broken = Strategy("broken", frozenset({"probs"}), "score", break_down)
    local.open_round(2, broken, scorer, NONE, Known(NONE, NONE, 2))
    with pytest.raises(StrategyError, match="ZeroDivisionError: by nothing") as refusal:
        select(local, broken, 5, seed=0, round=2)
    assert "test_local.py" in str(refusal.value)
    assert "break_down()" in str(refusal.value)


def test_training_workers_need_shards_that_they_can_reach() -> None:
    with pytest.raises(ConfigError, match=r"pool\.shards: 0"):
        make_config({"pool": {"shards": 0}, "train": {"workers": 1}})

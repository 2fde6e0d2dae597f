from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch

from distal.config import Config
from distal.data.split import held_out
from distal.data.table import ImageTable, open_images
from distal.models import GAN
from distal.pool.shard import Shard, divide_blocks
from distal.query import STRATEGIES, Known, Selection, select

NONE = np.zeros(0, dtype=np.int64)


class Shards:
    """Stand for shard actors in this process."""

    def __init__(self, images: ImageTable, count: int, holdout: float = 0.0) -> None:
        bounds = divide_blocks(images.blocks, count)
        self.shards = [Shard(images, first, last, holdout, seed=0) for first, last in bounds]
        for shard in self.shards:
            shard.prepare()

    def call(self, method: str, *args: object) -> list[object]:
        return [shard.select(method, *args) for shard in self.shards]


@pytest.fixture
def images(small_config: Callable[..., Config]) -> ImageTable:
    return open_images(small_config().pool)


@pytest.fixture
def scorer(small_config: Callable[..., Config]) -> bytes:
    return GAN.create(small_config(), 8, 1, 10).scorer().to_bytes()


def query(images: ImageTable, scorer: bytes, strategy: str, shards: int, asked: np.ndarray = NONE) -> Selection:
    group = Shards(images, shards)
    for shard in group.shards:
        shard.open_round(2, STRATEGIES.find(strategy), scorer, asked, Known(asked, np.zeros_like(asked), 2))
    return select(group, STRATEGIES.find(strategy), 12, seed=0, round=2)


@pytest.mark.parametrize("strategy", ["random", "entropy", "margin", "least_confidence", "coreset", "badge"])
def test_the_query_of_real_scores_does_not_depend_on_the_number_of_shards(
    images: ImageTable, scorer: bytes, strategy: str
) -> None:
    asked = np.array([3, 700, 1500], dtype=np.int64)
    one = query(images, scorer, strategy, 1, asked)
    assert len(set(one.row_ids.tolist())) == 12
    assert not np.isin(one.row_ids, asked).any()
    for count in (2, 5, 8):
        several = query(images, scorer, strategy, count, asked)
        assert (several.row_ids == one.row_ids).all()
        assert (several.scores == one.scores).all()


def test_least_confidence_agrees_with_scoring_the_whole_pool_at_once(images: ImageTable, scorer: bytes) -> None:
    from distal.nets.scorer import Scorer

    pixels = images.pixels(np.arange(images.rows, dtype=np.int64))
    with torch.inference_mode():
        probs = Scorer.from_bytes(scorer)(torch.from_numpy(np.array(pixels)))["probs"]
    uncertain = (1 - probs.max(1).values).numpy()
    chosen = query(images, scorer, "least_confidence", 3)
    worst_chosen = uncertain[chosen.row_ids].min()
    others = np.delete(uncertain, chosen.row_ids)
    # float32 probabilities of another batch shape may differ in the last bits
    assert others.max() <= worst_chosen + 1e-5


def test_held_out_rows_are_never_available(images: ImageTable) -> None:
    shard = Shard(images, 0, images.blocks, holdout=0.3, seed=0)
    ready = shard.prepare()
    out = held_out(np.arange(images.rows, dtype=np.int64), 0.3)
    assert ready.available == images.rows - out.sum()
    shard.open_round(1, STRATEGIES.find("random"), None, NONE, Known(NONE, NONE, 2))
    assert shard.selector is not None
    assert not shard.selector.view.available[out].any()


def test_a_selection_before_scores_is_a_programming_error(images: ImageTable) -> None:
    with pytest.raises(RuntimeError, match="open_round"):
        Shard(images, 0, 1, 0.0, 0).select("top", 3)


@pytest.mark.parametrize(("blocks", "shards"), [(1, 1), (1, 8), (5, 2), (8, 8), (1000, 7)])
def test_blocks_are_divided_without_gaps_or_empty_shards(blocks: int, shards: int) -> None:
    bounds = divide_blocks(blocks, shards)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == blocks
    assert all(stop == start for (_, stop), (start, _) in pairwise(bounds))
    sizes = [last - first for first, last in bounds]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert len(bounds) == min(blocks, shards)

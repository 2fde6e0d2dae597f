"""A shard's process that is stopped, as a hung disk stops it, is replaced within the limit; the choice is the same."""

import os
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest

from distal.config import Config
from distal.data.table import open_images
from distal.pool.actors import ShardActors
from distal.pool.local import LocalShard
from distal.query import STRATEGIES, Known, select

pytestmark = [pytest.mark.system, pytest.mark.timeout(300), pytest.mark.usefixtures("local_ray")]

NONE = np.zeros(0, dtype=np.int64)


def test_a_stopped_process_is_replaced_and_repeats_its_calls(small_config: Callable[..., Config]) -> None:
    images = open_images(small_config(pool={"block_rows": 128}).pool)
    strategy, known = STRATEGIES.find("random"), Known(NONE, NONE, 10)
    alone = LocalShard(images, 0.0, 0)
    alone.prepare()
    alone.open_round(1, strategy, None, NONE, known)
    expected = select(alone, strategy, 12, 0, 1).row_ids.tolist()

    shards = ShardActors(images, 2, 0.0, 0, 0.5, 0.0, "hung", 60.0, silent_s=4.0)
    try:
        shards.prepare()
        shards.open_round(1, strategy, None, NONE, known)
        place = shards.calls.places[shards.handles[1]]
        os.kill(place.process, signal.SIGSTOP)
        began = time.monotonic()
        assert select(shards, strategy, 12, 0, 1).row_ids.tolist() == expected
        assert time.monotonic() - began >= 4.0
        assert shards.calls.places[shards.handles[1]].process != place.process
        assert [piece.blocks for piece in shards.calls.pieces] == shards.bounds
    finally:
        shards.close()

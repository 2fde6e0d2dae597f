"""A run's rounds in this process, without Ray, as the learner runs them."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distal.communicator import Alone
from distal.config import Config
from distal.data.generated import RunImages
from distal.driver.preparation import Preparation
from distal.oracle import LabelFunction, build_oracle
from distal.plan import RunPlan
from distal.pool.moments import Moment
from distal.pool.shard import Scored, Shard, divide_blocks
from distal.pool.sight import Sight
from distal.progress import Event
from distal.query import Known, Strategy
from distal.rounds import run_rounds
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger
from distal.run.results import RoundResult
from distal.stopping import Outcome

Ids = np.ndarray[Any, np.dtype[np.int64]]


class Shards:
    """Stand for shard actors in this process."""

    def __init__(self, opened: Preparation, count: int = 2) -> None:
        images, seed = opened.images, opened.config.seed
        self.rows = images
        self.shards = [
            Shard(images, a, b, opened.holdout, seed, opened.network()) for a, b in divide_blocks(images.blocks, count)
        ]
        self.available = sum(shard.prepare().available for shard in self.shards)

    def open_round(
        self,
        round: int,
        strategy: Strategy,
        scorer: bytes | None,
        asked: Ids,
        known: Known,
        sight: Sight | None = None,
        moments: Sequence[Moment] = (),
        looked: Ids | None = None,
    ) -> list[Scored]:
        seen = (sight, moments, looked)
        return [shard.open_round(round, strategy, scorer, asked, known, None, *seen) for shard in self.shards]

    def look(self, method: str, *args: Any) -> list[Any]:
        return [getattr(shard.sight, method)(*args) for shard in self.shards]

    def call(self, method: str, *args: Any) -> list[Any]:
        return [shard.select(method, *args) for shard in self.shards]


class Run:
    """Run rounds in this process as the learner does."""

    def __init__(self, config: Config, function: LabelFunction | None = None, shards: int = 2) -> None:
        self.directory = RunDirectory.open(config.storage, config.name)
        opened = Preparation(config, self.directory)
        with self.directory.lock():
            opened.write(self.directory)
            self.shards = Shards(opened, shards)
            self.plan: RunPlan = opened.plan(self.directory, [], self.shards.available, None)
        self.oracle: Any = build_oracle(
            opened.config, RunImages(opened.images, self.directory), opened.classes, self.directory, function
        )
        self.events: list[Event] = []

    def go(self, on_commit: Callable[[RoundResult], bool] = lambda result: True) -> Outcome:
        rounds = run_rounds(self.plan, self.shards, self.oracle, Alone(), self.events.append)
        while True:
            try:
                goes_on = on_commit(next(rounds))
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if not goes_on:
                rounds.close()
                return Outcome("interrupted", "driver", "stopped by the driver")

    @property
    def folder(self) -> Path:
        assert self.directory.local is not None
        return self.directory.local


def contents(folder: Path) -> dict[str, Any]:
    """Return every file of the rounds, without wall-clock fields, and the map of the pool."""
    found: dict[str, Any] = {}
    run = RunDirectory.open(str(folder.parent), folder.name)
    for path in sorted([*folder.glob("rounds/**/*"), *folder.glob("map.parquet")]):
        name = str(path.relative_to(folder))
        if path.name == "metrics.json":
            found[name] = {k: v for k, v in json.loads(path.read_text()).items() if k != "seconds"}
        elif path.name == "labels.parquet":
            answers = Ledger(run).answers(int(path.parent.name))
            found[name] = [dataclasses.replace(a, time=0.0) for a in answers]
        elif path.name == "COMMITTED":
            sealed = json.loads(path.read_text())["sha256"]
            found[name] = {k: v for k, v in sealed.items() if k not in ("labels.parquet", "metrics.json")}
        elif path.is_file():
            found[name] = path.read_bytes()
    return found

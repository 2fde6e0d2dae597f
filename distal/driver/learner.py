"""The driver's object: hold the pool, run the rounds here or have them run by workers, hand out what they commit."""

import os
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from distal.checkpoints import open_generator
from distal.communicator import Alone
from distal.config import Config
from distal.data.generated import RunImages
from distal.driver.alongside import Leavable, alongside
from distal.driver.drains import Drains
from distal.driver.page import page_beside, require_page
from distal.driver.preparation import Preparation
from distal.driver.rank import WRITER_WAIT_S
from distal.driver.reports import Reports
from distal.driver.resources import joined_ray
from distal.errors import ConfigError
from distal.models import MODELS
from distal.nets.threads import threads
from distal.oracle import Asked, Classes, Oracle, annotate, build_oracle
from distal.oracle.guarded import GuardedOracle, guarded
from distal.oracle.told import require_people, tell
from distal.plan import RunPlan, Shards
from distal.pool.allocator import keep_freed_memory
from distal.pool.local import LocalShard
from distal.pool.prepared import prepared_facts
from distal.pool.shard import Ready
from distal.progress import Event, Listener, ignore
from distal.query import Strategy, as_strategy
from distal.resolve import check_names, make_config, parse_config, read_config
from distal.rounds import run_rounds
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger
from distal.run.results import RoundResult
from distal.stopping import Outcome


class Pool(Shards, Protocol):
    """Hold the pool in this process or in actors."""

    def prepare(self) -> list[Ready]:
        """Decode the rows."""


class ActiveLearner:
    """Grow a generator from few labels: run, iterate over rounds, ask and tell, generate.

    Args:
        config: a Config, a mapping, a YAML file, or None for the defaults (the embedded digits).
        oracle: a function from an `Item` to a label (class name, index, or None to decline), called in this process;
            or an object with `submit`, `collect` and `waiting`. None takes `oracle.kind` of the configuration.
        strategy: instead of `query.strategy`, a function from a `View` of a shard to one float a row, highest asked
            first. It is shown all that the model says, or what `score_strategy` was told that it needs.
        address: Ray cluster, as `address` in the configuration ("auto" for the running one).
        listen: hears progress as an `Event` each; `distal.show_progress` shows it as the command line does.

    Attributes:
        outcome_: how the last `run()` or `rounds()` ended.
        results_: the rounds committed by it.

    Raises:
        ConfigError, PoolError: whatever is wrong with the configuration or the data, before any process starts.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | Path | None = None,
        *,
        oracle: Callable[..., Any] | Oracle | None = None,
        strategy: Strategy | Callable[..., Any] | None = None,
        address: str | None = None,
        listen: Listener = ignore,
    ) -> None:
        config = _config(config)
        if oracle is not None and config.oracle.kind != "callable":
            own = {**config.oracle.model_dump(), "kind": "callable"}
            config = parse_config({**config.model_dump(mode="json"), "oracle": own})
        given = MODELS.find(config.model.kind).gives
        chosen = None if strategy is None else as_strategy(strategy, given)
        if chosen is not None:
            config = config.model_copy(update={"query": config.query.model_copy(update={"strategy": chosen.name})})
        check_names(config, chosen)
        require_page(config)
        self.run_directory = RunDirectory.open(config.storage, config.name)
        self._address = address or config.address
        self._opened = Preparation(config, self.run_directory, self._address)
        self._opened.require_memory()
        self._opened.require_network()
        self.config = self._opened.config
        self._images = RunImages(self._opened.images, self.run_directory)
        self._reports = Reports(self.run_directory, self._images, self._opened.classes)
        self._ledger = Ledger(self.run_directory, len(self._opened.classes))
        self._oracle = guarded(oracle)
        self._build_oracle()  # where the rounds run it is built again; here, so that it refuses at once
        self._strategy = chosen
        self._listen = Leavable(listen)
        self.outcome_: Outcome | None = None
        self.results_: list[RoundResult] = []

    def run(self) -> Outcome:
        """Run rounds until the run ends or waits for labels; a run that exists is continued where it stopped.

        Raises:
            DistalError: what went wrong; everything committed and every label answered is kept.
        """
        for _ in self.rounds():
            pass
        assert self.outcome_ is not None
        return self.outcome_

    def rounds(self) -> Generator[RoundResult, None, None]:
        """Run rounds one by one; the next begins when it is asked for, so leaving the loop ends the run cleanly."""
        try:
            yield from self._rounds()
        finally:
            self._listen(Event(self.results_[-1].round if self.results_ else 0, "end"))

    def rounds_async(self) -> AsyncIterator[RoundResult]:
        """Run rounds one by one in a thread, for `async for`: an event loop, as of a notebook, goes on meanwhile.

        Leaving the loop, or cancelling its task, ends the run at its next step; the listener is called in that thread.
        """
        return alongside(self.rounds(), self._listen)

    def query(self) -> Asked | None:
        """Go on until labels are awaited and return the rows that await them; None once the run has ended.

        For `oracle.kind=told`, or any other that people answer. Asking again before they are answered returns the same.

        Raises:
            ConfigError: the oracle answers by itself. DistalError: as `run()`.
        """
        require_people(self.config.oracle.kind)
        if self.run().kind == "stopped":
            return None
        query = self._ledger.read_query(len(self.run_directory.committed()) + 1)
        assert query is not None  # what is awaited was asked
        opened = self._opened
        return Asked(query, self._ledger.pending(query), self._images, opened.classes, self.config.pool.max_pixels)

    def answer(self, row_ids: Iterable[int], labels: Sequence[int | str | None], annotator: str = "python") -> None:
        """Tell labels of rows that were asked: durable on return, all or none of them.

        Args:
            labels: one a row, a class name, a class index, or None to decline the row.

        Raises:
            OracleError: a row was not asked, or has another answer already; or a label is none. RunLockedError: the
                run is at work.
        """
        classes = Classes(self._opened.classes, self.config.oracle.cost)
        with self.run_directory.lock("driver"):
            tell(self._ledger, classes, list(row_ids), list(labels), annotator)

    def _rounds(self) -> Generator[RoundResult, None, None]:
        run = self.run_directory
        self.results_, self.outcome_ = [], None
        with run.lock("driver"), self._reports.reported(lambda: self.outcome_), page_beside(self.config, run):
            self._opened.compare(run)
            awaited = self._awaited()
            if awaited is not None:
                self.outcome_ = Outcome("waiting", "labels", awaited)
                return
            with self._pool() as shards:
                plan = self._prepare(shards)
                self.outcome_ = yield from self._kept(plan, shards)
            if self.config.prove.enabled and self.outcome_.kind == "stopped":
                from distal.driver.proving import prove_at_end

                prove_at_end(run, self.config, self._listen, self._address)

    def generate(self, classes: Iterable[str | int], seed: int = 0) -> npt.NDArray[np.uint8]:
        """Generate one image for each class, given by name or index, from the last committed round.

        Args:
            seed: names the latents; image i depends on seed, i and its class alone.

        Returns:
            uint8 [n, C, H, W].

        Raises:
            ConfigError: no list of classes, or an unknown one. RunError: no round is committed yet.
        """
        if isinstance(classes, str) or not isinstance(classes, Iterable):
            raise ConfigError(
                f"generate: {classes!r} is no list of classes.\nGive one class for each image: [{classes!r}] * 10."
            )
        generator = open_generator(self.run_directory)
        labels = np.fromiter((generator.class_index(name) for name in classes), dtype=np.int64)
        return generator.images(labels, seed)

    @contextmanager
    def _pool(self) -> Iterator[Pool]:
        """Hold the pool in this process, or in actors; what needs Ray is imported where Ray is needed."""
        if self.config.pool.shards == 0:
            yield LocalShard(self._opened.images, self._opened.holdout, self.config.seed, self._opened.network())
            return
        from distal.driver.serve import shard_actors

        with shard_actors(self._opened, self._address) as shards:
            yield shards

    def _prepare(self, shards: Pool) -> RunPlan:
        """Let the run exist, and the shards read every row."""
        run, rows = self.run_directory, self._opened.images.rows
        self._opened.write(run)
        run.delete("stopped.json")
        prepared = prepared_facts(self._opened.images, self._opened.network())
        self._listen(Event(0, "prepare", 0, rows, {"rounds": self.config.planned_rounds}))
        with self._watched():
            ready = shards.prepare()
        skipped = [s for shard in ready for s in shard.skipped]
        plan = self._opened.plan(run, skipped, sum(shard.available for shard in ready), self._strategy)
        facts: dict[str, float | str] = {"available": plan.available, "skipped": len(skipped), **prepared}
        facts |= {"given": len(plan.given.row_ids)} if len(plan.given.row_ids) else {}
        self._listen(Event(0, "prepare", rows, rows, facts))
        return plan

    def _kept(self, plan: RunPlan, shards: Pool) -> Generator[RoundResult, None, Outcome]:
        """Keep each committed round and hand it out; also as Ray's metrics, where this process has joined a cluster."""
        telemetry = None
        if joined_ray():
            from distal.driver.telemetry import Telemetry

            telemetry = Telemetry(self.config.name, self._listen)
        with closing(self._started(plan, shards, telemetry or self._listen)) as rounds:
            while True:
                try:
                    with self._watched(), self._torch_for_training():
                        result = next(rounds)
                except StopIteration as end:
                    outcome: Outcome = end.value
                    return outcome
                self.results_.append(result)
                if telemetry is not None:
                    telemetry.committed(result)
                yield result

    def _started(self, plan: RunPlan, shards: Pool, listen: Listener) -> Generator[RoundResult, None, Outcome]:
        """Run the rounds on training workers, or here, in the thread that iterates."""
        if self.config.train.workers:
            from distal.driver.serve import Driver

            build = None if self._oracle is None else self._build_oracle
            return (yield from Driver(plan, shards, build, listen, self._reports.at_work).rounds())
        keep_freed_memory()
        comm = Alone("cuda" if torch.cuda.is_available() else "cpu")
        with plan.run.lock("writer", wait_s=WRITER_WAIT_S):  # workers of a killed driver may be about to end
            told = self._reports.beside(listen), Drains()
            return (yield from run_rounds(plan, shards, self._build_oracle(), comm, *told))

    @contextmanager
    def _torch_for_training(self) -> Iterator[None]:
        """Give the rounds their CPU threads and gradients, whatever the script has set; between them its own hold."""
        with (
            threads(self.config.train.threads or len(os.sched_getaffinity(0))),
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            yield

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Raise where this machine's part of Ray dies and the pool with it; between rounds the script is left alone."""
        if self.config.pool.shards == 0:
            yield
            return
        from distal.driver.node import watched

        with watched():
            yield

    def _awaited(self) -> str | None:
        """Take what answers there are to an open question, before anything is started; say what is still awaited."""
        run = self.run_directory
        query = self._ledger.read_query(len(run.committed()) + 1)
        if query is None or len(self._ledger.pending(query)) == 0:
            return None
        self._opened.write(run)
        return annotate(self._ledger, self._build_oracle(), query, self._listen)

    def _build_oracle(self) -> Oracle:
        if isinstance(self._oracle, GuardedOracle):
            return self._oracle
        return build_oracle(self.config, self._images, self._opened.classes, self.run_directory, self._oracle)


def _config(config: Config | Mapping[str, Any] | str | Path | None) -> Config:
    if isinstance(config, Config):
        return config
    if config is None or isinstance(config, str | Path):
        return read_config(config)
    return make_config(config)

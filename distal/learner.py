"""The driver's object: start the shard actors and the trainer, serve what belongs to this process, hand out rounds."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ray
from ray.exceptions import RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distal.checkpoints import open_generator
from distal.cluster import cluster, living_nodes
from distal.config import Config
from distal.errors import ClusterError, ConfigError, DistalError, RunError, StorageError
from distal.job import DRIVER_LOCK, Job
from distal.ledger import Ledger
from distal.link import LastReply, Mailbox, Question, WorkersUp
from distal.models import MODELS
from distal.oracle import Oracle, annotate, answered, build_oracle
from distal.oracle.guarded import GuardedOracle, guarded
from distal.pool.actors import ShardActors
from distal.pool.local import LocalShard
from distal.pool.waiting import Waiting
from distal.progress import Event, Listener, ignore
from distal.query import Strategy, as_strategy
from distal.report.write import write_report
from distal.resolve import check_names, check_needs, make_config, parse_config, read_config
from distal.resources import divide_resources, possible_sizes
from distal.results import RoundResult
from distal.rounds import Setup
from distal.rundir import RunDirectory
from distal.setup import Opened
from distal.stopping import Outcome
from distal.telemetry import Telemetry
from distal.train.parallel import WorkerGroup
from distal.workers import Workers

logger = logging.getLogger(__name__)

END_WAIT_S = 60.0
REPORT_EVERY = 10.0
"""Times as long as the report took pass before it is written again."""


class ActiveLearner:
    """Grow a generator from few labels: run, iterate over rounds, generate.

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
            check_needs(chosen, config)
        else:
            check_names(config)
        self.run_directory = RunDirectory.open(config.storage, config.name)
        self._opened = Opened(config, self.run_directory)
        self._opened.require_memory()
        self.config = self._opened.config
        self._oracle = guarded(oracle)
        self._build_oracle()  # where the rounds run it is built again; here, so that it refuses at once
        self._strategy = chosen
        self._address = address or config.address
        self._listen: Listener = listen
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

    def rounds(self) -> Iterator[RoundResult]:
        """Run rounds one by one; the next begins when it is asked for, so leaving the loop ends the run cleanly."""
        try:
            yield from self._rounds()
        finally:
            self._listen(Event(self.results_[-1].round if self.results_ else 0, "end"))

    def _rounds(self) -> Iterator[RoundResult]:
        run = self.run_directory
        self.results_, self.outcome_, self._report_due = [], None, 0.0
        with run.lock("driver"), self._reported(run):
            self._opened.compare(run)
            awaited = self._awaited()
            if awaited is not None:
                self.outcome_ = Outcome("waiting", "labels", awaited)
                return
            with cluster(self._address), self._shards() as shards:
                self._opened.write(run)
                run.delete("stopped.json")
                rounds: dict[str, float | str] = {"rounds": self.config.planned_rounds}
                self._listen(Event(0, "prepare", 0, self._opened.images.rows, rounds))
                ready = shards.prepare()
                skipped = [s for shard in ready for s in shard.skipped]
                available = sum(shard.available for shard in ready)
                setup = self._opened.setup(run, skipped, available, self._strategy)
                facts: dict[str, float | str] = {"available": setup.available, "skipped": len(skipped)}
                facts |= {"given": len(setup.given.row_ids)} if len(setup.given.row_ids) else {}
                self._listen(Event(0, "prepare", self._opened.images.rows, self._opened.images.rows, facts))
                yield from self._serve(setup, shards)

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
    def _shards(self) -> Iterator[ShardActors | LocalShard]:
        config, images = self.config, self._opened.images
        if config.pool.shards == 0:
            yield LocalShard(images, self._opened.holdout, config.seed)
            return
        resources = divide_resources(config, living_nodes())
        shards = ShardActors(
            images,
            config.pool.shards,
            self._opened.holdout,
            config.seed,
            resources.shard_cpus,
            resources.shard_gpus,
            config.name,
            config.wait_s,
        )
        try:
            yield shards
        finally:
            shards.close()

    def _serve(self, setup: Setup, shards: ShardActors | LocalShard) -> Iterator[RoundResult]:
        """Run the rounds in a thread or on workers, and answer from this thread what they ask of the driver."""
        config = self.config
        shared = _open_mailbox(config.train.workers)
        mailbox = partial(_from_driver, shared)
        lock = setup.run.read(DRIVER_LOCK) if setup.run.local is not None else b""
        job = Job(setup, shards, self._oracle is not None, shared, lock)
        resources = divide_resources(config, living_nodes())
        group = WorkerGroup(
            name=f"distal-{config.name}",
            workers=config.train.workers,
            cpus=resources.worker_cpus,
            gpus=resources.worker_gpus,
            threads=config.train.threads,
        )
        workers = Workers(job, group, possible_sizes(config.train), lambda: len(setup.run.committed()))
        failure: list[BaseException] = []

        def train() -> None:
            try:
                workers.run()
            except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
                failure.append(error)

        thread = threading.Thread(target=train, name="distal-rounds", daemon=True)
        thread.start()
        end: Outcome | DistalError | None = None
        telemetry = Telemetry(config.name, self._listen)
        waiting = Waiting(str(group)) if group.workers and not workers.elastic else None
        regrouping = False
        try:
            while end is None:
                alive = thread.is_alive()  # asked first: what a thread sent before it ended is received below
                message = mailbox("receive", 0.5)
                if message is not None:
                    waiting = None
                elif waiting is not None:
                    waiting.tell()
                if message is None:
                    if not alive:
                        break
                elif isinstance(message, Question) and isinstance(message.message, RoundResult):
                    self.results_.append(message.message)
                    telemetry.committed(message.message)
                    yield message.message
                    regrouping = message.message.round < config.rounds and workers.grow()
                    mailbox("reply", message.ticket, not regrouping)
                    mailbox("reply", message.ticket, LastReply())
                    if time.monotonic() >= self._report_due:
                        self._report(setup.run, at_work=True)
                elif isinstance(message, Question):
                    self._answer(setup, mailbox, message)
                elif isinstance(message, Event):
                    telemetry(message)
                elif isinstance(message, WorkersUp):
                    workers.up(message.size)
                elif regrouping and isinstance(message, Outcome):
                    regrouping = False  # these workers have ended for a larger group
                else:
                    end = message
        finally:
            if not isinstance(end, Outcome):
                mailbox("stop")
                workers.end()
            thread.join(timeout=END_WAIT_S)
        if isinstance(end, DistalError):
            raise end
        if failure:
            raise failure[0]
        self.outcome_ = end

    def _awaited(self) -> str | None:
        """Take what answers there are to an open question, before anything is started; say what is still awaited."""
        run = self.run_directory
        ledger = Ledger(run, len(self._opened.classes))
        query = ledger.read_query(len(run.committed()) + 1)
        if query is None or len(ledger.pending(query)) == 0:
            return None
        self._opened.write(run)
        return annotate(ledger, self._build_oracle(), query, self._listen)

    def _answer(self, setup: Setup, mailbox: Callable[..., Any], question: Question) -> None:
        """Ask the user's oracle, here, for what is still pending; every answer is durable before the next is asked."""
        error: DistalError | None = None
        try:
            ledger = Ledger(setup.run, len(setup.classes))
            for answers in answered(ledger, self._build_oracle(), question.message.query):
                mailbox("reply", question.ticket, answers)
        except DistalError as raised:
            error = raised
        mailbox("reply", question.ticket, LastReply(error))

    def _build_oracle(self) -> Oracle:
        if isinstance(self._oracle, GuardedOracle):
            return self._oracle
        opened = self._opened
        return build_oracle(self.config, opened.images, opened.classes, self.run_directory, self._oracle)

    @contextmanager
    def _reported(self, run: RunDirectory) -> Iterator[None]:
        """Leave the page as the run is left: at its end, by an error or Ctrl-C, or by whoever leaves the loop."""
        try:
            yield
            outcome = self.outcome_
            if outcome is not None and outcome.kind == "stopped":
                run.write("stopped.json", json.dumps({"reason": outcome.reason, "message": outcome.message}).encode())
        except (StorageError, RunError):
            raise  # what refused this would refuse the page
        except BaseException:
            self._report(run)
            raise
        self._report(run)

    def _report(self, run: RunDirectory, at_work: bool = False) -> None:
        """Write the page while the next round is at work; where that takes long, less often: a tenth of the time."""
        began = time.monotonic()
        try:
            if run.exists():
                write_report(run, self._opened.images, self._opened.classes, at_work)
        except DistalError as error:
            logger.warning("the report could not be written: %s", error)
        self._report_due = time.monotonic() + REPORT_EVERY * (time.monotonic() - began)


def _open_mailbox(workers: int) -> Callable[..., Any]:
    if workers == 0:
        mailbox = Mailbox()
        return lambda method, *args: getattr(mailbox, method)(*args)
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, max_concurrency=8, scheduling_strategy=here)(Mailbox).remote()
    return partial(_call_actor, actor)


def _call_actor(actor: Any, method: str, *args: Any) -> Any:
    return ray.get(getattr(actor, method).remote(*args))


def _from_driver(mailbox: Callable[..., Any], method: str, *args: Any) -> Any:
    """Call the mailbox from the driver, on whose node it lies; a worker that cannot reach it is restarted by Train."""
    try:
        return mailbox(method, *args)
    except RayActorError as error:
        raise ClusterError(
            f"this process has lost its node's part of the Ray cluster ({type(error).__name__}).\n"
            "Everything committed and every label answered is kept: run distal resume, or submit the job again."
        ) from error


def _config(config: Config | Mapping[str, Any] | str | Path | None) -> Config:
    if isinstance(config, Config):
        return config
    if config is None or isinstance(config, str | Path):
        return read_config(config)
    return make_config(config)

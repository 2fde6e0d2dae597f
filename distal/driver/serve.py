"""Start what a run has in other processes, shard actors and training workers, and serve what they ask of the driver."""

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distal.config import Config
from distal.driver.cluster import cluster, living_nodes
from distal.driver.drains import Drains
from distal.driver.launch import WorkerGroup
from distal.driver.mailbox import LastReply, Mailbox, Question, WorkersUp
from distal.driver.node import NodeLost, answers, raylet_place, watched
from distal.driver.preparation import Preparation
from distal.driver.rank import DRIVER_LOCK, RankJob
from distal.driver.resources import Resources, divide_resources, possible_sizes, sizes_to_hold
from distal.driver.sharing import hold_for_workers
from distal.driver.workers import Workers
from distal.errors import ClusterError, DistalError
from distal.oracle import Oracle, answered
from distal.plan import RunPlan, Shards
from distal.pool.actors import ShardActors
from distal.pool.waiting import Waiting
from distal.progress import Event, Listener
from distal.run.ledger import Ledger
from distal.run.results import RoundResult
from distal.stopping import Outcome

logger = logging.getLogger(__name__)

END_WAIT_S = 20.0
"""How long the workers may take to end: they hear it at their next message. SIGTERM to a whole process group reaches
Ray's processes too, which then answer nobody; a worker that still writes holds the writer lock, so nothing is mixed."""

STOP_S = 5.0
"""How long the mailbox may take to hear that the driver ends: it lies on the driver's node and does nothing else."""


@contextmanager
def shard_actors(opened: Preparation, address: str | None) -> Iterator[ShardActors]:
    """Join or start a Ray cluster, and hold the pool in actors there, until the block ends.

    Raises:
        ClusterError: it cannot be joined, or is too small.
    """
    config = opened.config
    with cluster(address):
        nodes = living_nodes()
        resources = divide_resources(config, nodes)
        release: Callable[[], None] | None = None
        try:
            with watched():
                sizes = sizes_to_hold(config, resources, nodes)
                release = hold_for_workers(_group(config, resources), sizes, config.wait_s) if sizes else None
                shards = ShardActors(
                    opened.images,
                    config.pool.shards or 0,
                    opened.holdout,
                    config.seed,
                    resources.shard_cpus,
                    resources.shard_gpus,
                    config.name,
                    config.wait_s,
                    opened.network(),
                    config.pool.silent_s,
                    release,
                )
            try:
                yield shards
            finally:
                shards.close()
        finally:
            if release is not None:
                release()


class Driver:
    """Be the driver of rounds that run on training workers: hand out what they commit, answer what they ask.

    Args:
        oracle: builds the oracle that lives in this process; None where the workers build their own.
        listen: hears their progress. at_work: called when they go on after a commit.
    """

    def __init__(
        self,
        plan: RunPlan,
        shards: Shards,
        oracle: Callable[[], Oracle] | None,
        listen: Listener,
        at_work: Callable[[], None],
    ) -> None:
        self._setup = plan
        place = raylet_place()
        self._raylet = place if answers(place) else None
        self._oracle = oracle
        self._listen = listen
        self._at_work = at_work
        self._actor = _open_mailbox()
        call = partial(_call_actor, self._actor)
        self._mailbox = partial(_from_driver, call)
        lock = plan.run.read(DRIVER_LOCK) if plan.run.local is not None else b""
        group = _group(plan.config, divide_resources(plan.config, living_nodes()))
        job = RankJob(plan, shards, oracle is not None, call, lock, Drains())
        self._workers = Workers(job, group, possible_sizes(plan.config.train), lambda: len(plan.run.committed()))
        self._waiting = None if self._workers.elastic else Waiting(str(group), "wait for a place, or start,")
        self._regrouping = False

    def rounds(self) -> Generator[RoundResult, None, Outcome]:
        """Run the workers from a thread, and serve them from this one; yield each committed round, return the end."""
        failure: list[BaseException] = []
        thread = threading.Thread(target=self._run, args=(failure,), name="distal-rounds", daemon=True)
        thread.start()
        end: Outcome | DistalError | None = None
        wait_s = END_WAIT_S
        try:
            while end is None:
                alive = thread.is_alive()  # asked first: what a thread sent before it ended is received below
                message = self._mailbox("receive", 0.5)
                if message is None:
                    if not alive:
                        break
                    if self._waiting is not None:
                        self._waiting.tell()
                    continue
                self._waiting = None
                if isinstance(message, Question) and isinstance(message.message, RoundResult):
                    yield message.message
                    self._go_on(message)
                else:
                    end = self._hear(message)
        except NodeLost:
            wait_s = 0.0  # the workers may hear that they should end, but Ray tells nobody here when they have
            raise
        finally:
            if isinstance(end, Outcome) or self._stopped():
                self._await_end(thread, wait_s)
        if isinstance(end, DistalError):
            raise end
        if failure:
            raise failure[0]
        assert end is not None  # a job that ends by itself has said how
        return end

    def _await_end(self, thread: threading.Thread, wait_s: float) -> None:
        """Wait for the workers to end, but not once the raylet is gone: nobody hears of it then, and Ray ends us."""
        until = time.monotonic() + wait_s
        while thread.is_alive() and time.monotonic() < until and (self._raylet is None or answers(self._raylet)):
            thread.join(timeout=0.2)

    def _stopped(self) -> bool:
        """Ask the workers to end; say whether they heard it. SIGTERM to a process group ends a local Ray with it."""
        self._workers.end()
        try:
            ray.get(self._actor.stop.remote(), timeout=STOP_S)
        except (RayError, GetTimeoutError) as error:
            logger.warning("the training workers cannot be reached any more: %s", type(error).__name__)
            return False
        return True

    def _run(self, failure: list[BaseException]) -> None:
        try:
            self._workers.run()
        except BaseException as error:  # noqa: BLE001 - handed to the main thread, which raises it
            failure.append(error)

    def _go_on(self, committed: Question) -> None:
        """Let the workers begin the next round, or end to begin it as a larger group."""
        round = committed.message.round
        self._regrouping = round < self._setup.config.rounds and self._workers.grow()
        self._mailbox("reply", committed.ticket, not self._regrouping)
        self._mailbox("reply", committed.ticket, LastReply())
        self._at_work()

    def _hear(self, message: Any) -> Outcome | DistalError | None:
        """Do what a message wants; return it where it is how the rounds ended."""
        if isinstance(message, Question):
            self._answer(message)
        elif isinstance(message, Event):
            self._listen(message)
        elif isinstance(message, WorkersUp):
            self._workers.up(message.size)
        elif self._regrouping and isinstance(message, Outcome):
            self._regrouping = False  # these workers have ended for a larger group
        else:
            end: Outcome | DistalError = message
            return end
        return None

    def _answer(self, question: Question) -> None:
        """Ask the user's oracle, here, for what is still pending; every answer is durable before the next is asked."""
        error: DistalError | None = None
        try:
            assert self._oracle is not None
            ledger = Ledger(self._setup.run, len(self._setup.classes))
            for answers in answered(ledger, self._oracle(), question.message.query):
                self._mailbox("reply", question.ticket, answers)
        except DistalError as raised:
            error = raised
        self._mailbox("reply", question.ticket, LastReply(error))


def _group(config: Config, resources: Resources) -> WorkerGroup:
    return WorkerGroup(
        name=f"distal-{config.name}",
        workers=config.train.workers,
        cpus=resources.worker_cpus,
        gpus=resources.worker_gpus,
        threads=config.train.threads,
    )


def _open_mailbox() -> Any:
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_concurrency=8, scheduling_strategy=here)(Mailbox).remote()


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

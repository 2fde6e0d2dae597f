"""Run a function on the ranks of a Ray Train worker group."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray.exceptions import RayActorError, RayError
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy

from distal.communicator import Alone, Communicator, ProcessGroup
from distal.errors import TrainingError
from distal.pool.allocator import keep_freed_memory
from distal.run.locks import flocked_folder

MAX_FAILURES = 3
"""Restarts of the worker group; each takes up the run from what is on disk."""

CONTROL_WAIT_S = 7 * 86_400
"""How long a rank waits for what rank 0 decides, which scores pools and waits for people. A rank that dies or raises
ends the group at once, so nothing hangs for that; what else ranks exchange has `communicator.EXCHANGE_S`."""

CONTROLLER_POLL_S = "0.5"
"""How often Train's controller looks at its workers; its default of 2 s is the longest wait in a short run."""

START_S = "10"
"""How long Train waits for places that `workers.py` was granted a moment before; then others have taken them."""

BOOKKEEPING = "distal-train-"


@dataclass(frozen=True)
class WorkerGroup:
    """Describe the ranks. name: shown on the dashboard.

    cpus, gpus: reserved per worker. threads: CPU threads per worker; None takes an even share of the cores that its
    node gives to this process.
    """

    name: str
    workers: int
    cpus: float
    gpus: float
    threads: int | None

    def __str__(self) -> str:
        return f"{self.workers} training workers of {self.cpus:g} CPUs and {self.gpus:g} GPUs"


class ControllerLostError(TrainingError):
    """Report that Train's controller went away, as when the head node restarts; the workers are not to blame."""


class PlaceLostError(TrainingError):
    """Report that the workers' place was taken, by other work before they began or by who drained its node."""


class _Fixed(FixedScalingPolicy):  # type: ignore[misc]
    """Ask for the workers' places by their placement group alone, which an autoscaler sees; not by an actor as well."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """Start no coordinator of requests."""

    def _maybe_send_resource_request(self) -> None:
        pass


class _Trainer(TorchTrainer):  # type: ignore[misc]
    """Leave out the process that would hand Ray's data sets to the workers, for there are none, and the one that would
    ask for places beside the placement group: each takes seconds, and the controller waits for the second.
    """

    def _create_default_callbacks(self) -> list[Any]:
        return [each for each in super()._create_default_callbacks() if type(each).__name__ != "DatasetsCallback"]

    def _initialize_and_run_controller(self, **given: Any) -> Any:
        return super()._initialize_and_run_controller(**{**given, "scaling_policy": _Fixed(self.scaling_config)})


def launch(work: Callable[[Communicator], None], group: WorkerGroup, restarts: int = MAX_FAILURES) -> None:
    """Call `work` with a communicator on every rank and wait until all have returned.

    Args:
        work: picklable; restarted from its beginning on all ranks when a worker dies.
        restarts: how often, on as many workers as before, whose places are waited for. With 0, whoever calls may
            launch fewer: nothing is waited for.

    Raises:
        TrainingError: the worker group failed more often than it is restarted. ControllerLostError: what watches over
            it is gone, with its node. PlaceLostError: with no restarts, a place of the group is gone.
    """

    def loop() -> None:
        keep_freed_memory()
        context, device = ray.train.get_context(), ray.train.torch.get_device()
        torch.set_num_threads(group.threads or max(1, len(os.sched_getaffinity(0)) // context.get_local_world_size()))
        work(ProcessGroup(device) if context.get_world_size() > 1 else Alone(device))

    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", CONTROLLER_POLL_S)
    # One process less: who keeps a round's training hears of a node's end by itself (`drains.py`).
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    resources = {"CPU": group.cpus, **({"GPU": group.gpus} if group.gpus else {})}
    scaling = ScalingConfig(num_workers=group.workers, use_gpu=group.gpus > 0, resources_per_worker=resources)
    # Without a limit of its own, Train would wait for ever for as many places as before.
    limit = -1 if restarts else 0
    failures = FailureConfig(max_failures=restarts, controller_failure_limit=limit, max_preemption_failures=limit)
    if not restarts:
        os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", START_S)
    try:
        with bookkeeping() as folder:
            run_config = RunConfig(name=group.name, storage_path=folder, failure_config=failures)
            control = TorchConfig(backend="gloo", timeout_s=CONTROL_WAIT_S)
            _Trainer(loop, torch_config=control, scaling_config=scaling, run_config=run_config).fit()
    except RayError as error:
        raise ControllerLostError(
            f"the controller of the training workers was lost: {str(error).splitlines()[0][:200]}\n"
            "Everything committed is kept: see 'ray status', then run distal resume."
        ) from error
    except ray.train.TrainingFailedError as error:
        kind = PlaceLostError if _place_lost(error) else TrainingError
        raise kind(
            f"the training workers failed{f' {restarts + 1} times' if restarts else ''}; "
            f"last: {str(error).splitlines()[-1][:200]}\n"
            f"Everything committed is kept: mend the cause, then run distal resume."
        ) from error


@contextmanager
def bookkeeping() -> Iterator[str]:
    """Give Train a temporary folder: nothing is reported to it, so nothing but its own folders comes of it.

    Those that killed processes left are swept. The kernel tells them apart: nobody holds their flock any more.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{BOOKKEEPING}*"):
        with flocked_folder(left) as free:
            if free:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=BOOKKEEPING, ignore_cleanup_errors=True) as folder:
        with flocked_folder(Path(folder)):
            yield folder


def _place_lost(error: ray.train.TrainingFailedError) -> bool:
    """Say whether the workers are not to blame: they found no place in time, or a node of theirs was drained."""
    if isinstance(error, ControllerError):
        return isinstance(error.controller_failure, WorkerGroupStartupTimeoutError)
    failures = error.worker_failures.values() if isinstance(error, WorkerGroupError) else ()
    return any(isinstance(failure, RayActorError) and failure.preempted for failure in failures)

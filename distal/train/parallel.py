"""Run a function on the ranks of a Ray Train worker group, or in this process when there are no workers."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass

import ray.train
import ray.train.torch
import torch
from ray.exceptions import RayError
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchConfig, TorchTrainer

from distal.allocator import keep_freed_memory
from distal.communicator import Alone, Communicator, ProcessGroup
from distal.errors import TrainingError

MAX_FAILURES = 3
"""Restarts of the worker group; each takes up the run from what is on disk."""

EXCHANGE_WAIT_S = 7 * 86_400
"""How long a rank waits for another: rank 0 scores pools and waits for people. A rank that dies or raises ends the
group at once, so nothing hangs for that."""

CONTROLLER_POLL_S = "0.5"
"""How often Train's controller looks at its workers; its default of 2 s is the longest wait in a short run."""


@dataclass(frozen=True)
class WorkerGroup:
    """Describe the ranks. name: shown on the dashboard. workers: 0 is this process, through Train's local mode.

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


def launch(work: Callable[[Communicator], None], group: WorkerGroup, restarts: int = MAX_FAILURES) -> None:
    """Call `work` with a communicator on every rank and wait until all have returned.

    Args:
        work: picklable; restarted from its beginning on all ranks when a worker dies.
        restarts: how often, on as many workers as before.

    Raises:
        TrainingError: the worker group failed more often than it is restarted. ControllerLostError: what watches over
            it is gone, with its node.
    """

    def loop() -> None:
        keep_freed_memory()
        sharing = ray.train.get_context().get_local_world_size() if group.workers else 1
        torch.set_num_threads(group.threads or max(1, len(os.sched_getaffinity(0)) // sharing))
        if group.workers == 0:
            work(Alone("cuda" if torch.cuda.is_available() else "cpu"))
        else:
            device = ray.train.torch.get_device()
            work(ProcessGroup(device) if ray.train.get_context().get_world_size() > 1 else Alone(device))

    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", CONTROLLER_POLL_S)
    # One process less: a worker that hears of its node's end has nothing to save, for each phase leaves its file.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    resources = {"CPU": group.cpus, **({"GPU": group.gpus} if group.gpus else {})}
    scaling = ScalingConfig(
        num_workers=group.workers,
        use_gpu=group.gpus > 0,
        resources_per_worker=resources if group.workers else None,
    )
    failures = FailureConfig(max_failures=restarts)
    # Train's own bookkeeping: nothing is reported to it, so nothing but its folders comes of it.
    bookkeeping = tempfile.TemporaryDirectory(prefix="distal-train-", ignore_cleanup_errors=True)
    try:
        with bookkeeping as folder:
            run_config = RunConfig(name=group.name, storage_path=folder, failure_config=failures)
            patient = TorchConfig(timeout_s=EXCHANGE_WAIT_S)
            TorchTrainer(loop, torch_config=patient, scaling_config=scaling, run_config=run_config).fit()
    except RayError as error:
        raise ControllerLostError(
            f"the controller of the training workers was lost: {str(error).splitlines()[0][:200]}\n"
            "Everything committed is kept: see 'ray status', then run distal resume."
        ) from error
    except ray.train.TrainingFailedError as error:
        raise TrainingError(
            f"the training workers failed{f' {restarts + 1} times' if restarts else ''}; "
            f"last: {str(error).splitlines()[-1][:200]}\n"
            f"Everything committed is kept: mend the cause, then run distal resume."
        ) from error

"""A Ray cluster of raylets on this machine without what people look at: no dashboard, no metrics, no logs sent on."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import ray._private.state
import ray._private.utils
from ray.cluster_utils import Cluster
from ray.core.generated.gcs_pb2 import WorkerTableData

STORE = {"object_store_memory": 2**27}
UNSEEN = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}

REFUSED_IS_DEAD = {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
"""How soon a head takes a node for dead that refuses to be asked: in two seconds, not in fifteen. One that is merely
slow has Ray's usual ten seconds each time."""


def bare_cluster() -> Any:
    """Start a head without CPUs."""
    os.environ.update(REFUSED_IS_DEAD)
    # As where Ray is installed without its "default": each node has an agent all the same, which is a small one then.
    ray._private.utils.get_dashboard_dependency_error = lambda: ImportError("nobody looks")
    return Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **STORE, **UNSEEN})


def lose(cluster: Any, node: Any) -> None:
    """Take a node away with all that runs there, as a machine goes; Ray's agents would stay for minutes."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    there = [*raylet.children(recursive=True), *_workers(node.node_id)]
    cluster.remove_node(node, allow_graceful=False)
    for process in there:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _workers(node: str) -> Iterator[psutil.Process]:
    """Yield the node's workers, forked ones as well, which are no children of its raylet."""
    for row in ray._private.state.state._connect_and_get_accessor().get_worker_table():
        worker = WorkerTableData.FromString(row)
        if worker.is_alive and worker.worker_address.node_id.hex() == node:
            with suppress(psutil.NoSuchProcess):
                yield psutil.Process(worker.pid)

"""Nodes die under a run that was submitted to a cluster, the head with them: it ends with an unbroken run's files."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from local_cluster import LocalCluster, cluster_tree, in_one_process, local_cluster
from namespaces import Network, network
from shared_extractor import share_extractor
from small_sweeps import write_sweep
from two_rounds import final_files, wait_until

import distal
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]

PHASE_S = 400.0

SOON_COUNTED_AS_DEAD = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "2",
}
"""How soon the head takes a silent node for dead: in some 8 s, not in its usual half a minute and more."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Describe two rounds whose phases last long enough for a node to be taken away in each."""
    return cluster_tree(tmp_path_factory.mktemp("run"), steps=200, samples=8000)


@pytest.fixture(scope="module")
def unbroken_files(tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    storage = tmp_path_factory.mktemp("unbroken")
    share_extractor(storage)
    distal.ActiveLearner(in_one_process(tree, storage)).run()
    return final_files(storage)


@pytest.fixture
def run(tmp_path: Path, tree: dict[str, Any]) -> RunDirectory:
    share_extractor(tmp_path)
    write_sweep(tmp_path, {**tree, "storage": str(tmp_path)})
    return RunDirectory.open(str(tmp_path), "run")


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """Run a head, on which drivers lie, and a worker."""
    with local_cluster(1) as started:
        yield started


def submit(cluster: LocalCluster, tmp_path: Path, *overrides: str) -> None:
    done = cluster.distal("submit", str(tmp_path / "sweep.yaml"), *overrides, "--detach")
    assert done.returncode == 0, done.stdout + done.stderr


def require_end(cluster: LocalCluster, storage: Path, expected: dict[str, Any], run: RunDirectory) -> None:
    """Follow the job to its end, and require the files of an unbroken run, no row asked twice."""
    followed = cluster.distal("jobs", "logs", "run", "--follow")
    assert followed.returncode == 0, followed.stdout + followed.stderr
    assert "the label budget is spent: 12 of 12" in followed.stdout
    assert final_files(storage) == expected
    asked = Ledger(run, 10).asked().tolist()
    assert len(asked) == len(set(asked)) == 12


def take_away(cluster: LocalCluster, title: str, when: Callable[[], object], not_yet: Callable[[], object]) -> None:
    """Kill the node that runs such a process once the phase has begun, and before it has ended; add another."""
    node, looked, deadline = None, 0.0, time.monotonic() + PHASE_S
    while not when():
        assert time.monotonic() < deadline, f"waited in vain for the phase in which a node of {title} goes"
        if time.monotonic() - looked > 1.0:  # looking through all processes takes a good part of a short phase
            node, looked = cluster.node_of(title) or node, time.monotonic()
        time.sleep(0.01)
    node = node or cluster.node_of(title)
    assert node is not None
    cluster.kill(node)
    assert not_yet(), f"{node} was killed too late"
    cluster.do("add", f"{node}-again")


def test_a_node_cut_off_until_it_is_counted_as_dead_changes_nothing(
    unbroken_files: dict[str, Any], run: RunDirectory, tmp_path: Path
) -> None:
    """The job's own process is on the head; its shards and its worker are not."""
    with nodes_of_their_own("one", "two") as (cluster, network):
        submit(cluster, tmp_path)
        wait_until(lambda: len(Ledger(run, 10).answers(1)) == 6, "the first round is labeled", PHASE_S)
        node = cluster.node_of("RayTrainWorker")
        assert node is not None
        network.cut(node)
        assert not run.has("rounds/0001/checkpoint/manifest.json")
        wait_until(lambda: counted_as_dead(cluster), "the head missed the node", PHASE_S)
        network.cut(node, joined=True)
        # The node is ended when it hears that it counts as dead; who runs nodes starts them again.
        wait_until(lambda: not cluster.runs(node), "the cut off node ended itself", PHASE_S)
        cluster.do("add", f"{node}-again", **network.places[node])
        require_end(cluster, tmp_path, unbroken_files, run)


def test_the_head_lost_with_the_driver_and_nodes_lost_while_training_scoring_and_evaluating_change_nothing(
    cluster: LocalCluster, unbroken_files: dict[str, Any], run: RunDirectory, tmp_path: Path
) -> None:
    """The driver lies on the head and dies with it; the run directory is all that a cluster started anew needs."""
    submit(cluster, tmp_path, "train.workers=0", "pool.shards=1")
    wait_until(lambda: len(Ledger(run, 10).answers(1)) == 6, "the first round is labeled", PHASE_S)
    cluster.kill("head")
    assert not run.has("rounds/0001/checkpoint/manifest.json")
    cluster.do("stop")
    cluster.do("start", "2")
    submit(cluster, tmp_path)
    take_away(
        cluster,
        "RayTrainWorker",
        lambda: run.holder("writer"),
        lambda: not run.has("rounds/0001/checkpoint/manifest.json"),
    )
    take_away(
        cluster,
        "HeldShard",
        lambda: run.has("rounds/0001/COMMITTED"),
        lambda: not run.has("rounds/0002/query.parquet"),
    )
    take_away(
        cluster,
        "RayTrainWorker",
        lambda: run.has("rounds/0002/checkpoint/manifest.json"),
        lambda: not run.has("rounds/0002/metrics.json"),
    )
    require_end(cluster, tmp_path, unbroken_files, run)


def counted_as_dead(cluster: LocalCluster) -> bool:
    """Say whether the head has given a node up that did not answer."""
    return any(
        "health check failed" in log.read_text() for log in cluster.folder.glob("n/head/session_2*/logs/gcs_server.out")
    )


@contextmanager
def nodes_of_their_own(*names: str) -> Iterator[tuple[LocalCluster, Network]]:
    """Run a head, and nodes with addresses of their own."""
    with network() as made, local_cluster(0, HEAD_IP=made.head_ip, **SOON_COUNTED_AS_DEAD) as cluster:
        for name in names:
            cluster.do("add", name, **made.node(name))
        yield cluster, made

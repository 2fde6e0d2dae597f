"""Nodes die under a run that was submitted to a cluster, the head with them: it ends with an unbroken run's files."""

import time
from pathlib import Path

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


def test_the_head_lost_with_the_driver_a_node_cut_off_in_training_and_one_lost_while_scoring_change_nothing(
    decoded: Path, tmp_path: Path
) -> None:
    """The driver lies on the head and dies with it; the run directory is all that a cluster started anew needs.

    The job's own process is on the head then too; its shards and its worker are not. Training lasts long enough for a
    node to be taken away in it.
    """
    tree = cluster_tree(tmp_path, decoded, steps=200, samples=64)
    share_extractor(tmp_path)
    write_sweep(tmp_path, {**tree, "storage": str(tmp_path)})
    run = RunDirectory.open(str(tmp_path), "run")
    with network() as made, local_cluster(0, **head_of(made), **SOON_COUNTED_AS_DEAD) as cluster:
        add(cluster, made, "one")
        submit(cluster, tmp_path, "train.workers=0", "pool.shards=1")
        wait_until(lambda: len(Ledger(run, 10).answers(1)) == 6, "the first round is labeled", PHASE_S)
        cluster.kill("head")
        assert not run.has("rounds/0001/checkpoint/manifest.json")
        cluster.do("stop")
        cluster.do("start", "0")
        add(cluster, made, "two")
        add(cluster, made, "three")
        submit(cluster, tmp_path)
        lose_who_trains(cluster, made, run)
        take_away_while_scoring(cluster, made, run)
        followed = cluster.distal("jobs", "logs", "run", "--follow")
        assert followed.returncode == 0, followed.stdout + followed.stderr
        assert "the label budget is spent: 12 of 12" in followed.stdout
        asked = Ledger(run, 10).asked().tolist()
        assert len(asked) == len(set(asked)) == 12
    share_extractor(tmp_path / "unbroken")
    distal.ActiveLearner(in_one_process(tree, tmp_path / "unbroken")).run()
    assert final_files(tmp_path) == final_files(tmp_path / "unbroken")


def head_of(network: Network | None) -> dict[str, str]:
    return {} if network is None else {"HEAD_IP": network.head_ip}


def add(cluster: LocalCluster, network: Network | None, name: str) -> None:
    """Add a node with an address of its own, where there are such; one that comes for another has the other's."""
    of = name.removesuffix("-again")
    place = {} if network is None else network.places[of] if of in network.places else network.node(of)
    cluster.do("add", name, **place)


def submit(cluster: LocalCluster, tmp_path: Path, *overrides: str) -> None:
    done = cluster.distal("submit", str(tmp_path / "sweep.yaml"), *overrides, "--detach")
    assert done.returncode == 0, done.stdout + done.stderr


def lose_who_trains(cluster: LocalCluster, network: Network | None, run: RunDirectory) -> None:
    """Take the link of the node away that trains the first round, and give it back when the head has given it up.

    Where there are no links to take away, the node is killed.
    """
    wait_until(lambda: run.holder("writer"), "a worker holds the run", PHASE_S)
    node = cluster.node_of("RayTrainWorker")
    assert node is not None
    network.cut(node) if network else cluster.kill(node)
    assert not run.has("rounds/0001/checkpoint/manifest.json")
    if network:
        wait_until(lambda: counted_as_dead(cluster), "the head missed the node", PHASE_S)
        network.cut(node, joined=True)
        # The node is ended when it hears that it counts as dead; who runs nodes starts them again.
        wait_until(lambda: not cluster.runs(node), "the cut off node ended itself", PHASE_S)
    add(cluster, network, f"{node}-again")


def take_away_while_scoring(cluster: LocalCluster, network: Network | None, run: RunDirectory) -> None:
    """Kill a node with a shard once the second round has begun, and before it has asked; add another in its place."""
    node, looked, deadline = None, 0.0, time.monotonic() + PHASE_S
    while not run.has("rounds/0001/COMMITTED"):
        assert time.monotonic() < deadline, "waited in vain for the second round"
        if time.monotonic() - looked > 1.0:  # looking through all processes takes a good part of a short phase
            node, looked = cluster.node_of("HeldShard") or node, time.monotonic()
        time.sleep(0.01)
    node = node or cluster.node_of("HeldShard")
    assert node is not None
    cluster.kill(node)
    assert not run.has("rounds/0002/query.parquet"), f"{node} was killed too late"
    add(cluster, network, f"{node}-again")


def counted_as_dead(cluster: LocalCluster) -> bool:
    """Say whether the head has given a node up that did not answer."""
    return any(
        "health check failed" in log.read_text() for log in cluster.folder.glob("n/head/session_2*/logs/gcs_server.out")
    )

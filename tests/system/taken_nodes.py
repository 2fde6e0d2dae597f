"""Take nodes of a cluster away from a run: by cutting their link, where this machine allows it, or by a kill."""

import time

from local_cluster import LocalCluster
from namespaces import Network
from two_rounds import wait_until

from distal.run.directory import RunDirectory

PHASE_S = 400.0

SOON_COUNTED_AS_DEAD = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "2",
}
"""How soon the head takes a silent node for dead: in some 8 s, not in its usual half a minute and more."""


def head_of(network: Network | None) -> dict[str, str]:
    return {} if network is None else {"HEAD_IP": network.head_ip}


def add(cluster: LocalCluster, network: Network | None, name: str) -> None:
    """Add a node with an address of its own, where there are such; one that comes for another has the other's."""
    of = name.removesuffix("-again")
    place = {} if network is None else network.places[of] if of in network.places else network.node(of)
    cluster.do("add", name, **place)


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

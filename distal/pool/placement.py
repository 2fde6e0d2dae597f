"""Choose a node for each shard: spread evenly, and the same again next time, so that decoded images are found there.

Every node keeps what its shards have decoded. So a shard's place is drawn by rendezvous hashing (Thaler and
Ravishankar 1998) of its rows with the nodes' names: a later run on the same pool and the same nodes goes where the
files lie, and a node that is lost moves no shards but its own.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any


@dataclass(frozen=True)
class Node:
    """Name a node of the cluster. id: Ray's, new at each start; name: stays; cpus, gpus: what it has."""

    id: str
    name: str
    cpus: float
    gpus: float


def usable_nodes(described: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return the living nodes of `ray.nodes()` that have a CPU, by name."""
    nodes = []
    for node in described:
        has = node.get("Resources", {})
        if node["Alive"] and has.get("CPU", 0.0) > 0:
            name = f"{node['NodeManagerHostname']}/{node['NodeManagerAddress']}/{node.get('Labels', {}).get(LABEL, '')}"
            nodes.append(Node(node["NodeID"], name, has["CPU"], has.get("GPU", 0.0)))
    return sorted(nodes, key=lambda node: node.name)


LABEL = "distal-node"
"""Node label that tells apart the nodes of one machine, as `cluster/local.sh` starts them."""


def place_shards(
    shards: Sequence[tuple[int, int]], fingerprint: str, nodes: Sequence[Node], gpus: float
) -> list[str | None]:
    """Return the preferred node's id of each shard; None where there is no choice.

    A node takes no more than its share of the shards by CPUs, or by GPUs where shards use them.

    Args:
        shards: first and last block of each. fingerprint: of the pool. gpus: per shard.
    """
    nodes = [node for node in nodes if gpus == 0 or node.gpus > 0]
    if len(nodes) < 2:
        return [None] * len(shards)
    weight = {node.id: node.gpus if gpus else node.cpus for node in nodes}
    total = sum(weight.values())
    room = {node.id: ceil(len(shards) * weight[node.id] / total) for node in nodes}
    chosen: list[str | None] = []
    for first, last in shards:
        free = [node for node in nodes if room[node.id] > 0]
        best = max(free, key=lambda node: _draw(f"{fingerprint} {first} {last} {node.name}"))
        room[best.id] -= 1
        chosen.append(best.id)
    return chosen


def _draw(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

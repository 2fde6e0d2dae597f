"""Where shards go: evenly, the same each time, and no further than they must when a node is lost."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from distal.pool.placement import Node, place_shards, usable_nodes
from distal.pool.shard import divide_blocks


def nodes_of(*cpus: float, gpus: float = 0.0) -> list[Node]:
    return [Node(f"id-{i}", f"host-{i}", c, gpus) for i, c in enumerate(cpus)]


@given(st.integers(2, 8), st.integers(1, 64), st.integers(0, 2**32))
def test_equal_nodes_take_equal_shares(nodes: int, shards: int, pool: int) -> None:
    chosen = place_shards(divide_blocks(1000, shards), str(pool), nodes_of(*[4.0] * nodes), 0.0)
    counts = Counter(chosen)
    assert None not in counts
    assert max(counts.values()) <= -(-shards // nodes)


def test_larger_nodes_take_more() -> None:
    counts = Counter(place_shards(divide_blocks(1000, 40), "pool", nodes_of(12.0, 4.0, 4.0), 0.0))
    assert counts["id-0"] == 24


def test_a_later_run_on_the_same_nodes_goes_where_the_decoded_images_lie() -> None:
    shards = divide_blocks(1000, 16)
    first = place_shards(shards, "pool", nodes_of(4.0, 4.0, 4.0), 0.0)
    restarted = [Node(f"new-{n.id}", n.name, n.cpus, n.gpus) for n in reversed(nodes_of(4.0, 4.0, 4.0))]
    assert [f"new-{node}" for node in first] == place_shards(shards, "pool", restarted, 0.0)


def test_a_lost_node_moves_few_shards_but_its_own() -> None:
    shards = divide_blocks(1000, 60)
    before = place_shards(shards, "pool", nodes_of(4.0, 4.0, 4.0, 4.0), 0.0)
    after = place_shards(shards, "pool", nodes_of(4.0, 4.0, 4.0, 4.0)[:3], 0.0)
    stayed = [one == other for one, other in zip(before, after, strict=True) if one != "id-3"]
    assert sum(stayed) > 0.7 * len(stayed)


def test_shards_that_use_gpus_go_where_gpus_are() -> None:
    nodes = [*nodes_of(16.0, 16.0), Node("gpu-0", "g0", 4.0, 1.0), Node("gpu-1", "g1", 4.0, 1.0)]
    assert set(place_shards(divide_blocks(100, 8), "pool", nodes, 0.25)) == {"gpu-0", "gpu-1"}


def test_one_node_leaves_no_choice() -> None:
    assert place_shards([(0, 1), (1, 2)], "pool", nodes_of(4.0), 0.0) == [None, None]


def test_dead_nodes_and_a_head_without_cpus_hold_no_shards() -> None:
    described = [
        {
            "NodeID": "a",
            "Alive": True,
            "NodeManagerHostname": "h",
            "NodeManagerAddress": "1",
            "Resources": {"CPU": 2.0},
        },
        {"NodeID": "b", "Alive": False, "NodeManagerHostname": "h", "NodeManagerAddress": "2", "Resources": {}},
        {
            "NodeID": "c",
            "Alive": True,
            "NodeManagerHostname": "h",
            "NodeManagerAddress": "3",
            "Resources": {"GPU": 1.0},
        },
    ]
    assert [node.id for node in usable_nodes(described)] == ["a"]

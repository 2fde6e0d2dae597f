"""Find how many trials a cluster holds at a time, each whole: its own process, its shard actors, its workers.

A trial whose parts were placed one by one could wait for ever on others that wait for it. So a trial's process and its
shards come out of one placement group, which Tune makes when there is room. Where trials have training workers, for
which Ray Train makes a group of its own (ray 2.60, `WorkerGroup._create_placement_group`: a group cannot be made within
a group), no more run at a time than the cluster holds together with them.
"""

from collections.abc import Mapping, Sequence

from distal.errors import ClusterError
from distal.sweep.config import TrialResources

Bundle = dict[str, float]
GRAIN = 1e-4


def trial_bundles(resources: TrialResources) -> list[Bundle]:
    """Return what a trial's placement group reserves: its own process first, then its shard actors."""
    own = _bundle(resources.cpus, resources.gpus)
    return [own, *[_bundle(resources.cpus_per_shard, resources.gpus_per_shard)] * resources.shards]


def worker_bundles(resources: TrialResources) -> list[Bundle]:
    """Return what Ray Train reserves for a trial."""
    return [_bundle(resources.cpus_per_worker, resources.gpus_per_worker)] * resources.workers


def most_at_a_time(
    nodes: Sequence[Mapping[str, float]], resources: TrialResources, trials: int, concurrency: int | None, grows: bool
) -> int | None:
    """Return how many trials may run at a time; None for as many as find a place, now and on nodes that join later.

    Args:
        nodes: what each has now. trials: in all. concurrency: the most that is wanted. grows: whether the cluster
            starts nodes on demand, so that what there is now says nothing.

    Raises:
        ClusterError: not even one fits, and there will be no more; or the cluster grows and trials with workers, whose
            parts find their places one by one, are not limited.
    """
    if grows:
        if resources.workers and concurrency is None:
            raise ClusterError(
                "resources.workers: on a cluster that starts nodes on demand, begun trials could hold all the room "
                "that their training workers wait for.\nSet concurrency to what its most nodes hold, or "
                "resources.workers=0."
            )
        return concurrency
    places = trials_at_a_time(nodes, resources, min(trials, concurrency or trials))
    return places if resources.workers else concurrency


def trials_at_a_time(nodes: Sequence[Mapping[str, float]], resources: TrialResources, most: int) -> int:
    """Return how many trials the nodes hold at once, at most `most`.

    Args:
        nodes: what each node has, by "CPU" and "GPU".

    Raises:
        ClusterError: not even one, saying what would fit.
    """
    bundles = sorted(
        [*trial_bundles(resources), *worker_bundles(resources)],
        key=lambda b: (b.get("GPU", 0.0), b.get("CPU", 0.0)),
        reverse=True,
    )
    free = [{"CPU": node.get("CPU", 0.0), "GPU": node.get("GPU", 0.0)} for node in nodes]
    _place(free, [_bundle(resources.driver_cpus, 0.0)])
    count = 0
    while count < most and _place(free, bundles):
        count += 1
    if count == 0:
        need = {name: sum(b.get(name, 0.0) for b in bundles) for name in ("CPU", "GPU")}
        largest = {name: max((b.get(name, 0.0) for b in bundles), default=0.0) for name in ("CPU", "GPU")}
        has = ", ".join(f"{node['CPU']:g} CPUs and {node['GPU']:g} GPUs" for node in free[:4])
        raise ClusterError(
            f"resources: a trial needs {need['CPU']:g} CPUs and {need['GPU']:g} GPUs, up to {largest['CPU']:g} and "
            f"{largest['GPU']:g} in one piece; the {len(free)} nodes have {has}{', ...' if len(free) > 4 else ''}.\n"
            f"{_advice(resources, free)}"
        )
    return count


def _advice(resources: TrialResources, free: Sequence[Mapping[str, float]]) -> str:
    later = "Where it starts nodes on demand, set base.autoscaling=true."
    best = max(free, key=lambda node: node["CPU"], default={"CPU": 0.0, "GPU": 0.0})
    if best["CPU"] <= GRAIN:
        return f"Start a node, or leave address out. {later}"
    cpus = min(resources.cpus, best["CPU"])
    fits = f"resources.cpus={cpus:g} resources.shards=0 resources.workers=0"
    return f"What would fit: {fits}{' resources.gpus=0' if resources.gpus > best['GPU'] else ''}\n{later}"


def _place(free: list[dict[str, float]], bundles: Sequence[Bundle]) -> bool:
    """Take the bundles out of what is free, each where it leaves the least; change nothing where they do not fit."""
    rest = [dict(node) for node in free]
    for bundle in bundles:
        fitting = [node for node in rest if all(node[name] + GRAIN >= amount for name, amount in bundle.items())]
        if not fitting:
            return False
        node = min(fitting, key=lambda n: (n["GPU"], n["CPU"]))
        for name, amount in bundle.items():
            node[name] -= amount
    free[:] = rest
    return True


def _bundle(cpus: float, gpus: float) -> Bundle:
    return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}

"""Compute how long an acquisition takes on more shards than this machine can hold, from constants measured here.

    t(N) = rows / (N rate) + shard + broadcast N / shards_per_node + dispatch N             one scoring pass
         + calls (latency + dispatch N) + settle + N bytes_per_shard (handling + 1 / bandwidth)           a selection

The first term shrinks with N; what is multiplied by N is done by the one driver (or arrives over its network), and ends
the scaling; what is multiplied by neither is paid once a round whatever N. A selection by scores is one call, one in
passes is a call to begin and two a pass. `benchmarks/scale.py` measures the constants and prints the tables of
docs/scale.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

SHARDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
LOWEST = 0.8
"""Efficiency below which more shards are not worth their price."""


@dataclass(frozen=True)
class Overheads:
    """State what a cluster costs beside the rows, whatever is selected.

    rate: rows a second that one shard scores. shard_s: per shard and pass, in parallel on the shards (the scorer is
    rebuilt). dispatch_s: of the driver per shard and call. broadcast_s: per node and pass, one node after another.
    latency_s: of one call and its answer. handling_s: of the driver per byte that it sends or receives.
    bandwidth: of the driver's network in bytes a second; shards_per_node: assumed, not measured.
    """

    rate: float
    shard_s: float
    dispatch_s: float
    broadcast_s: float
    latency_s: float
    handling_s: float
    bandwidth: float = 1.25e9
    shards_per_node: int = 8


@dataclass(frozen=True)
class Selecting:
    """State what one selection exchanges.

    calls: of every shard. bytes_per_shard: payload to and from one shard in all of them, while a shard has more rows
    than candidates. settle_s: of the driver alone, whatever the number of shards.
    """

    name: str
    calls: int
    bytes_per_shard: float
    settle_s: float


def acquisition_s(shards: int, rows: float, costs: Overheads, selecting: Selecting) -> float:
    """Return the seconds from a trained scorer to the chosen rows."""
    nodes = -(-shards // costs.shards_per_node)
    scoring = rows / (shards * costs.rate) + costs.shard_s + costs.latency_s
    scoring += costs.dispatch_s * shards + costs.broadcast_s * nodes
    network = selecting.calls * costs.latency_s + shards * selecting.bytes_per_shard / costs.bandwidth
    return scoring + driver_s(shards, costs, selecting) + network


def driver_s(shards: int, costs: Overheads, selecting: Selecting) -> float:
    """Return the driver's own seconds in a selection: what the fit can be compared with where it was not fitted."""
    calls = selecting.calls * costs.dispatch_s * shards
    return calls + selecting.settle_s + shards * selecting.bytes_per_shard * costs.handling_s


def weak_efficiency(shards: int, rows: float, costs: Overheads, selecting: Selecting) -> float:
    """Return the time on one shard over that on `shards`, with `rows` on each."""
    alone = acquisition_s(1, rows, costs, selecting)
    return alone / acquisition_s(shards, rows * shards, costs, selecting)


def strong_efficiency(shards: int, rows: float, costs: Overheads, selecting: Selecting) -> float:
    """Return the time on one shard over `shards` times that on `shards`, which divide the same rows."""
    return acquisition_s(1, rows, costs, selecting) / (shards * acquisition_s(shards, rows, costs, selecting))


def first_below(efficiency: Callable[[int], float], lowest: float = LOWEST, most: int = 1000) -> int | None:
    """Return the fewest shards whose efficiency is below `lowest`, None where that takes more than `most`."""
    return next((shards for shards in range(1, most + 1) if efficiency(shards) < lowest), None)


def print_tables(costs: Overheads, selections: list[Selecting], rows_per_shard: int, rows: int) -> None:
    """Print weak and strong scaling as Markdown: seconds and efficiency of every selection, and its bytes a round."""
    names = " | ".join(f"`{each.name}` s | efficiency | MB" for each in selections)
    laws = {
        f"weak: {rows_per_shard:,} rows a shard": (lambda n: n * rows_per_shard, weak_efficiency, rows_per_shard),
        f"strong: {rows:,} rows in all": (lambda n: rows, strong_efficiency, rows),
    }
    for title, (rows_of, efficiency, size) in laws.items():
        print(f"\n{title}; a shard scores {costs.rate:,.0f} rows/s\n\n| shards | {names} |")
        print("| --- |" + " --- | --- | --- |" * len(selections))
        for n in SHARDS:
            cells = [
                f"{acquisition_s(n, rows_of(n), costs, each):,.2f} | {efficiency(n, size, costs, each):.2f} "
                f"| {n * each.bytes_per_shard / 1e6:,.1f}"
                for each in selections
            ]
            print(f"| {n:,} | {' | '.join(cells)} |")
        for each in selections:
            fewest = first_below(partial(efficiency, rows=size, costs=costs, selecting=each))
            print(f"{each.name}: below {LOWEST:.0%} from {fewest or 'more than 1,000'} shards")

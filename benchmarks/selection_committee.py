"""Time scores and staged strategies against plain forms of torch and numpy, interleaved in one process.

usage: python benchmarks/selection_committee.py [scores] [batchbald] [staged]

Prints medians as ratios: seconds of distal over seconds of the plain form. Bars: every score strategy at most 1.2 x a
plain torch expression, top 1,000 of 10^6 x 10 (committees: of 10^5 x 10 x 10); batchbald at most 0.6 x the plain greedy
loop over the same draws, 10 of 10,000 x 20 x 10, with the same picks.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from machine import describe_machine
from selection import interleaved, report, shards_of

from distal.pool.allocator import keep_freed_memory
from distal.query import STRATEGIES, LocalShards, Selection, Selector, View, select
from distal.query.information import CASES
from distal.streams import row_uniforms, stream

THREADS, RUNS, SEED = 1, 9, 0


def committee(n: int, members: int, classes: int) -> torch.Tensor:
    """Draw members that agree on some rows and not on others, float32 [n, B, K]."""
    draw = np.random.default_rng(SEED)
    z = 2 * draw.standard_normal((n, 1, classes), dtype=np.float32)
    z = z + 2 * draw.random((n, 1, 1), dtype=np.float32) * draw.standard_normal((n, members, classes), dtype=np.float32)
    return torch.from_numpy(z).softmax(2)


def pool_of(n: int, **tensors: torch.Tensor) -> View:
    """Make a pool of which every row may be asked."""
    return View(np.arange(n), np.ones(n, dtype=bool), np.full(n, -1), 256, SEED, 1, tensors)


def chosen(name: str, pool: View, k: int, shards: int = 1) -> Selection:
    """Select with the library; opening the shards counts."""
    strategy = STRATEGIES.find(name)
    return select(LocalShards([Selector(view, strategy) for view in shards_of(pool, shards)]), strategy, k, SEED, 1)


def entropy(p: torch.Tensor) -> torch.Tensor:
    """Return the entropy over the last axis."""
    return -torch.xlogy(p, p).sum(-1)


def scores() -> None:
    """Every score strategy, top 1,000."""
    p = torch.from_numpy(np.random.default_rng(SEED).dirichlet(np.ones(10), 1_000_000).astype(np.float32))
    q = committee(100_000, 10, 10)
    c = torch.from_numpy(np.random.default_rng(SEED).standard_normal((len(p), 10), dtype=np.float32))
    near = c[:, 1].abs()
    many, few = pool_of(len(p), probs=p), pool_of(len(q), committee=q)
    drawn = pool_of(len(p), probs=p, realism=c[:, 0].contiguous(), ldr=c, generated_distance=near)
    r = drawn.need("realism")

    def margin() -> torch.Tensor:
        top = p.topk(2, 1).values
        return top[:, 1] - top[:, 0]

    def bald() -> torch.Tensor:
        return entropy(q.mean(1)) - entropy(q).mean(1)

    def votes() -> torch.Tensor:
        return entropy(torch.nn.functional.one_hot(q.argmax(2), 10).float().mean(1))

    def divergence() -> torch.Tensor:
        return (q * (q / q.mean(1, keepdim=True)).log()).nan_to_num(0.0).sum(2).mean(1)

    plain: dict[str, tuple[View, Callable[[], torch.Tensor]]] = {
        "random": (many, lambda: torch.from_numpy(row_uniforms(many.row_ids, SEED, "query", "random", 1))),
        "entropy": (many, lambda: entropy(p)),
        "margin": (many, margin),
        "least_confidence": (many, lambda: -p.max(1).values),
        "bald": (few, bald),
        "power_bald": (few, lambda: bald().clamp_min(1e-30).log() - (-torch.rand(len(q)).log()).log()),
        "query_by_committee": (few, votes),
        "consensus_kl": (few, divergence),
        "realism": (drawn, lambda: r),
        "d_uncertainty": (drawn, lambda: -(r.sigmoid() - 0.5).abs()),
        "gold": (drawn, lambda: r + entropy(p)),
        "ldr_mean": (drawn, lambda: c.mean(1)),
        "ldr_variance": (drawn, lambda: c.var(1)),
        "coverage": (drawn, lambda: near.clamp_max(torch.finfo(torch.float32).max)),
    }
    for name, (pool, score) in plain.items():
        seconds = interleaved(
            RUNS, distal=lambda name=name, pool=pool: chosen(name, pool, 1000), torch=lambda f=score: f().topk(1000)
        )  # type: ignore[misc]
        report(f"{name}, top 1,000 of {len(pool.row_ids):,}", seconds, 1.2)


def plain_batchbald(q: torch.Tensor, k: int) -> list[int]:
    """Score every row for every pick, in torch, float32; the joint answers as the library tells them apart."""
    n, members, classes = q.shape
    own = entropy(q).mean(1)
    joint, drawn, picks = torch.ones(1, members) / members, False, []
    flat = q.permute(1, 0, 2).reshape(members, n * classes)
    while len(picks) < k:
        seen = joint.sum(1, keepdim=True)
        gain = torch.zeros(n)
        for start in range(0, n, 256):  # 512 joint answers of 256 rows stay in cache
            part = flat[:, start * classes : (start + 256) * classes]
            share = (joint / seen) @ part
            weights = torch.full_like(seen, 1 / len(seen)) if drawn else seen
            gain[start : start + 256] = -(weights.T @ torch.xlogy(share, share)).view(-1, classes).sum(1)
        gain -= own
        gain[picks] = -torch.inf
        picks.append(int(gain.argmax()))
        longer = joint[:, None, :] * q[picks[-1]].T[None]
        chances = longer.sum(2).double()
        uniforms = torch.from_numpy(1.0 - stream(SEED, "query", "batchbald", 1, len(picks)).random(CASES))
        if drawn:
            sums = chances.cumsum(1)
            joint = longer[torch.arange(CASES), (sums < uniforms[:, None] * sums[:, -1:]).sum(1)]
        elif chances.numel() > CASES:
            sums = chances.flatten().cumsum(0)
            joint = longer.flatten(0, 1)[torch.searchsorted(sums, uniforms.sort().values * sums[-1])]
            drawn = True
        else:
            joint = longer.flatten(0, 1)
        joint = joint / joint.sum(1, keepdim=True) if drawn else joint
    return picks


def batchbald() -> None:
    """BatchBALD, 10 of 10,000 x 20 x 10."""
    q = committee(10_000, 20, 10)
    pool = pool_of(len(q), committee=q)
    seconds = interleaved(RUNS, distal=lambda: chosen("batchbald", pool, 10), torch=lambda: plain_batchbald(q, 10))
    report("batchbald, 10 of 10,000 x 20 x 10", seconds, 0.6)
    picks = chosen("batchbald", pool, 10)
    same = picks.row_ids.tolist() == plain_batchbald(q, 10)
    print(f"  picks of the plain loop: {'same' if same else 'DIFFERENT'}; {picks.passes} passes")


def staged() -> None:
    """Seconds, passes and traffic of the rest, 100 of 100,000, 1 and 8 shards."""
    n = 100_000
    draw = np.random.default_rng(SEED)
    p = torch.from_numpy(draw.dirichlet(np.ones(10), n).astype(np.float32))
    x = torch.from_numpy(draw.standard_normal((n, 128), dtype=np.float32))
    pool = pool_of(n, probs=p, embeddings=x, committee=committee(n, 10, 10), dropout_probs=committee(n, 3, 10))
    names = ("direct", "galaxy", "cluster_margin", "drop_query", "0.5*margin+0.5*bald", "per_cost:entropy")
    for name in (*names, "class_balanced:margin", "class_balanced:badge", "epig"):
        needed = pool_of(n, **{need: pool.tensors[need] for need in STRATEGIES.find(name).tensors})
        seconds = interleaved(2, distal=lambda name=name, needed=needed: chosen(name, needed, 100))  # type: ignore[misc]
        one, eight = chosen(name, needed, 100), chosen(name, needed, 100, 8)
        same = np.array_equal(one.row_ids, eight.row_ids) and np.array_equal(one.scores, eight.scores)
        print(
            f"{name}: {seconds['distal']:.2f} s, {one.passes} passes, {one.bytes_moved / 1e6:.2f} MB, "
            f"of 8 shards {eight.bytes_moved / 1e6:.2f} MB, {'same bits' if same else 'DIFFERENT'}",
            flush=True,
        )


def main() -> None:
    """Run the cases that are named, or all."""
    torch.set_num_threads(THREADS)
    keep_freed_memory()  # as every shard does; both sides gain
    print(f"{describe_machine()}; {THREADS} thread, {RUNS} runs, seed {SEED}", flush=True)
    cases = {"scores": scores, "batchbald": batchbald, "staged": staged}
    for name in sys.argv[1:] or cases:
        cases[name]()


if __name__ == "__main__":
    main()

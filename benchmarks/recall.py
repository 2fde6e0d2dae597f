"""Measure how often the recall estimate of a searched class covers the truth: 90 times in 100 at least.

    python benchmarks/recall.py FEATURES.npz [share ...]

Each class but the largest (or, with shares, each class cut down to them) is searched for alone from 3 reference images,
as in benchmarks/discovery.py; from FIRST rounds on, every EVERY rounds, the estimate is held against the truth.
`stopped`: where at least GOAL was found by the estimate, in how many runs it was, and the mean recall there.
"""

import sys

import numpy as np
import torch
from discovery import one_class

from distal.query.recall import Asked, RecallEstimate, count_odds, estimate_recall

SEEDS = 4
FIRST, EVERY, ROUNDS = 4, 4, 32
GOAL = 0.8


def follow(x: np.ndarray, y: np.ndarray, rare: int, share: float | None, seed: int) -> list[tuple[RecallEstimate, int]]:
    """Return the estimates of one search, with the truth."""
    pool, parts, made = one_class(x, y, rare, share, seed), [], []
    for round in range(ROUNDS + 1):
        before = np.array(pool.asked, dtype=np.int64)
        chosen, probs = pool.ask("search", round)
        belief = probs[:, 1].double().numpy()
        if round >= FIRST and round % EVERY == 0:  # by the newest classifier, before its answers come in
            rounds, beliefs, hits, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
            left = count_odds(np.delete(belief, before)[:, None])[0]
            found = int(pool.y[before].sum())
            made.append((estimate_recall(found, Asked(rounds, beliefs, hits, scores), left), int(pool.y.sum())))
        rows = chosen.row_ids
        parts.append((np.full(len(rows), round), belief[rows], pool.y[rows] == 1, chosen.scores.astype(np.float64)))
    return made


def main() -> None:
    torch.set_num_threads(1)
    path, *shares = sys.argv[1:]
    with np.load(path) as held:
        x, y = held["A"].astype(np.float32), held["y"]
    print("| share | estimates | covered | truth <= high | width / truth, median | stopped |")
    print("| --- | --- | --- | --- | --- | --- |")
    for share in [float(given) for given in shares] or [None]:
        common = -1 if share else int(np.bincount(y).argmax())
        classes = [c for c in range(int(y.max()) + 1) if c != common]
        runs = [follow(x, y, c, share, seed) for c in classes for seed in range(SEEDS)]
        flat = [(estimate.low, estimate.high, truth) for run in runs for estimate, truth in run]
        low, high, truth = np.array(flat).T
        ends = [next((e.found / t for e, t in run if e.at_least >= GOAL), None) for run in runs]
        ended = np.array([end for end in ends if end is not None])
        stopped = f"{(ended >= GOAL).sum()} of {len(ended)}, mean {ended.mean():.2f}" if len(ended) else "never"
        print(
            f"| {share or 'all'} | {len(flat)} | {np.mean((low <= truth) & (truth <= high)):.3f} "
            f"| {np.mean(truth <= high):.3f} | {np.median((high - low) / truth):.2f} | {stopped} |",
            flush=True,
        )


if __name__ == "__main__":
    main()

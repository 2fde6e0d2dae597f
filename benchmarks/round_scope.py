"""What a round costs and how good its choice is, looking at the whole pool or at part of it: cached synthetic features.

    python benchmarks/round_scope.py [--rows 100000 1000000] [--rounds 4] [--whole 4] [--strategies badge search]

CLASSES classes of WIDTH features, each of several clusters, the rarest a hundredth of the commonest; 3 labels of each
class to begin with, then BATCH a round by the probe, on one shard with one thread. Seconds are the processor's, of the
last round: what is looked up, scored and chosen. `first`: the seconds of a launch's checksums and projection. Quality:
balanced accuracy of the probe on other rows, and the images found of the RARE rarest classes.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cached_features import CachedPool, FeaturesFile, open_shards
from machine import describe_machine

from distal.features.competition import Verdict
from distal.features.probe import Probe
from distal.features.projection import Projection
from distal.pool.scope import Scope
from distal.pool.shard import Shard
from distal.pool.sight import Sight
from distal.query import STRATEGIES, Known, LocalShards, select
from distal.query.nearest import Rows
from distal.query.subpool import merge
from distal.resolve import make_config
from distal.run.ledger import Labels

CLASSES, RARE, WIDTH, CLUSTERS, BATCH, TEST, PART, SEED = 20, 5, 32, 6, 20, 5_000, 65_536, 0
SCOPES: dict[str, dict[str, int]] = {
    "the whole pool": {},
    "subpool=20000": {"subpool": 20_000},
    "neighbours=200, subpool=5000": {"neighbours": 200, "subpool": 5_000},
}


class Mixture:
    """Draw rows: classes by their shares, each of clusters that lie around its centre."""

    def __init__(self) -> None:
        draw = np.random.default_rng(SEED)
        shares = np.geomspace(1.0, 0.01, CLASSES)
        self.shares = shares / shares.sum()
        centres = draw.standard_normal((CLASSES, 1, WIDTH))
        self.means = (centres + 0.8 * draw.standard_normal((CLASSES, CLUSTERS, WIDTH))).astype(np.float32)

    def rows(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        draw = np.random.default_rng([SEED, seed])
        labels = draw.choice(CLASSES, count, p=self.shares)
        noise = draw.standard_normal((count, WIDTH), dtype=np.float32)
        return (self.means[labels, draw.integers(CLUSTERS, size=count)] + 1.3 * noise).astype(np.float16), labels


class Looker:
    """Stand for rank 0's eyes: what the scope asks of them."""

    def __init__(self, shard: Shard, projection: Projection) -> None:
        self.shard, self.projection = shard, projection

    def project(self, row_ids: np.ndarray) -> torch.Tensor:
        return self.projection(torch.from_numpy(self.shard.sight.raw(row_ids)))

    def near(self, row_ids: np.ndarray, count: int) -> Any:
        queries = Rows(row_ids, (self.project(row_ids).numpy(),))
        return merge([self.shard.sight.near(self.projection.to_bytes(), queries, count)], count)


def run(name: str, query: dict[str, int], shard: Shard, pool: Any, test: Any, rounds: int) -> tuple[float, ...]:
    """Return rows looked at and seconds in the last round, balanced accuracy, and rare images found."""
    labels, projection = pool
    config = make_config({"classifier": "probe", "query": {"batch": BATCH, **query}})
    looker: Any = Looker(shard, projection)
    scope, strategy = Scope(config, len(labels), looker), STRATEGIES.find(name)
    asked = np.concatenate([np.flatnonzero(labels[:500_000] == c)[:3] for c in range(CLASSES)])
    for round in range(2, rounds + 2):
        known = Labels(asked, labels[asked], np.zeros_like(asked))
        begun = time.process_time()
        probe = fitted(looker, known)
        looked = scope.rows(strategy, known, round)
        sight = Sight(Verdict("probe", {}, {"probe": 1.0, "head": 1.0}, ""), projection.to_bytes(), probe.to_bytes())
        known_rows = Known(asked, labels[asked], CLASSES)
        scored = shard.open_round(round, strategy, None, np.sort(asked), known_rows, None, sight, (), looked)
        assert shard.selector is not None
        chosen = select(LocalShards([shard.selector]), strategy, BATCH, SEED, round).row_ids
        seconds = time.process_time() - begun
        asked = np.concatenate([asked, chosen])
    probe = fitted(looker, Labels(asked, labels[asked], np.zeros_like(asked)))
    guessed = probe.probs(projection(torch.from_numpy(test[0]))).argmax(1).numpy()
    accuracy = float(np.mean([(guessed[test[1] == c] == c).mean() for c in range(CLASSES)]))
    return scored.rows, seconds, accuracy, float((labels[asked] >= CLASSES - RARE).sum() - 3 * RARE)


def fitted(looker: Looker, known: Labels) -> Probe:
    return Probe.fit(looker.project(known.row_ids), known.labels, CLASSES, torch.zeros(WIDTH), SEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--whole", type=int, default=None, help="rounds where the whole pool is looked at")
    parser.add_argument("--strategies", nargs="*", default=["badge", "search"])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mixture = Mixture()
    test = mixture.rows(TEST, 2**31)
    print(f"{describe_machine()}; 1 thread, seed {SEED}, {arguments.rounds} rounds of {BATCH}")
    print("| rows | strategy | looks at | rows scored | seconds a round | balanced accuracy | rare images found |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory(prefix="distal-benchmark-") as folder:
            pool = CachedPool(rows, Path(folder))
            file, labels = FeaturesFile(pool, WIDTH), np.empty(rows, dtype=np.int64)
            for start in range(0, rows, PART):
                part, labels[start : start + PART] = mixture.rows(min(PART, rows - start), start)
                file.append(part)
            (shard,) = open_shards(pool, WIDTH, 1)
            projection = Projection.fit(shard.sight.raw(np.arange(4096)), WIDTH)
            begun = time.process_time()
            shard.sight.near(projection.to_bytes(), Rows(np.arange(1), (np.ones((1, WIDTH), np.float32),)), 1)
            print(f"{rows:,} rows: first {time.process_time() - begun:.1f} s", flush=True)
            for name in arguments.strategies:
                for what, query in SCOPES.items():
                    rounds = arguments.rounds if query or arguments.whole is None else arguments.whole
                    scored, seconds, accuracy, found = run(name, query, shard, (labels, projection), test, rounds)
                    print(
                        f"| {rows:,} | `{name}` | {what} | {scored:,} | {seconds:.2f} | {accuracy:.3f} | {found:.0f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()

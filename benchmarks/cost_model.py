"""What a pool of 10^8 or 10^9 images costs: seconds to the first query, disk, network, a round, dollars.

    python benchmarks/cost_model.py [--images 256]          measure this machine's constants, then the table
    python benchmarks/cost_model.py --given                 the table from the constants of docs/scale.md alone

Seconds are of the processor, one thread, medians of 3. Originals are colour JPEG of 256 px like photographs (smooth,
with some noise; about 20 kB), decoded to 64 and to 256 px; features are `efficientnet_lite0_scales`, 2,184 of a row.
What neither this script nor one that docs/scale.md names has measured is in `Assumed`; the table is computed.
"""

import argparse
import io
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import describe_machine
from PIL import Image

from distal.communicator import Alone
from distal.data.decode import DecodeSpec, decode
from distal.features import FEATURES, FeatureRequest
from distal.run.artefacts import Folder

WIDTH = 2184
RUNS = 3


@dataclass(frozen=True)
class Measured:
    """Hold what one core does. The defaults are those of docs/scale.md.

    decode_64_s, decode_256_s: an original to pixels of this side. embed_s: an original that is decoded for the network,
    to features. look_s: checksum and projection of a row's features, once a launch. write_s: a byte with its checksum
    and fsync, to a local folder. score_s: a row that a round of `margin` looks at, all of the pool. subpool_s: a round
    of `badge` with query.subpool=20000, whatever the pool. dispatch_s: of the driver, a call to one shard.
    calls, calls_in_runs: of a rank and step, 24 unlabeled images, singly and in runs of 8, 1,000 shards.
    """

    decode_64_s: float = 0.72e-3
    decode_256_s: float = 0.65e-3
    embed_s: float = 17.3e-3
    write_s: float = 1.1e-9
    look_s: float = 40e-6
    score_s: float = 2.2e-6
    subpool_s: float = 0.34
    dispatch_s: float = 0.52e-3
    calls: float = 20.7
    calls_in_runs: float = 2.6


@dataclass(frozen=True)
class Assumed:
    """Hold what is assumed of a cluster: nobody measured it.

    store: bytes a second that a node reads from or writes to the object store. core_dollars: an hour of a core.
    gpu_dollars: an hour of a GPU. month_dollars: a GB in the object store. step_s: a training step of 64 GPUs.
    """

    nodes: int = 16
    cores: int = 64
    shards: int = 1000
    ranks: int = 64
    batch: int = 32
    store: float = 1.0e9
    core_dollars: float = 0.045
    gpu_dollars: float = 3.0
    month_dollars: float = 0.023
    step_s: float = 0.1
    steps: int = 500


def figures(rows: float, side: int, one: Measured, given: Assumed) -> dict[str, float]:
    """Return what a pool of so many rows at this side comes to, by name; seconds, bytes and dollars."""
    decode_s = one.decode_64_s if side == 64 else one.decode_256_s
    cores, row_bytes = given.nodes * given.cores, 3 * side**2 + 2 * WIDTH
    made_s = rows * (decode_s + one.embed_s + row_bytes * one.write_s) / cores
    fetched_s = rows * row_bytes * max(1 / given.store / given.nodes, one.write_s / cores)
    look_s = rows * one.look_s / cores
    calls_s = given.shards * one.dispatch_s
    unlabeled = given.batch * 3 // 4
    sent = given.ranks * unlabeled * 3 * side**2 * (1 - 1 / given.nodes)
    train_s = given.steps * given.step_s
    return {
        "first query, nothing prepared (s)": made_s + look_s + 2 * calls_s,
        "first query, prepared (s)": fetched_s + look_s + 2 * calls_s,
        "the same, all on the nodes already (s)": look_s + 2 * calls_s,
        "disk a node (GB)": rows * row_bytes / given.nodes / 1e9,
        "memory a node, projected rows (GB)": rows * 512 / given.nodes / 1e9,
        "network a step, all ranks (MB)": sent / 1e6,
        "host time of a rank's calls a step (ms)": one.calls * one.dispatch_s * 1e3,
        "the same, in runs of 8 (ms)": one.calls_in_runs * one.dispatch_s * 1e3,
        "choosing by margin over all rows (s)": rows * one.score_s / cores + 2 * calls_s,
        "choosing by badge in a sub-pool (s)": one.subpool_s + 11 * calls_s,
        "preparing ($)": rows * (decode_s + one.embed_s) / 3600 * given.core_dollars,
        "keeping it prepared, a month ($)": rows * row_bytes / 1e9 * given.month_dollars,
        "a round's training and choosing ($)": (train_s + one.subpool_s + 11 * calls_s)
        / 3600
        * (given.ranks * given.gpu_dollars + cores * given.core_dollars),
    }


def originals(count: int) -> list[bytes]:
    draw, found = np.random.default_rng(0), []
    for _ in range(count):
        coarse = Image.fromarray(draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)).resize((256, 256))
        noisy = np.clip(np.asarray(coarse, dtype=np.int16) + draw.integers(-6, 7, (256, 256, 3)), 0, 255)
        buffer = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


def measure(count: int) -> Measured:
    torch.set_num_threads(1)
    images = originals(count)
    print(f"{describe_machine()}; {count} JPEG of {np.mean([len(each) for each in images]) / 1e3:.0f} kB, 1 thread")
    with tempfile.TemporaryDirectory(prefix="distal-benchmark-") as folder:
        request = FeatureRequest(image_size=64, channels=3, comm=Alone(), store=Folder(folder))
        network = FEATURES.find("efficientnet_lite0_scales")(request)
        assert network.width == WIDTH, network.width
        size = network.size or 64
        spec = {side: DecodeSpec(side, 3, "resize", "none", 10**9) for side in (64, 256, size)}

        def decoded(side: int) -> torch.Tensor:
            return torch.from_numpy(np.stack([decode(each, spec[side]) for each in images]))

        whole = decoded(256).numpy().tobytes()

        def written() -> None:
            zlib.crc32(whole)
            Path(folder, "written").write_bytes(whole)

        return Measured(
            seconds(lambda: decoded(64)) / count,
            seconds(lambda: decoded(256)) / count,
            seconds(lambda: network(decoded(size))) / count,
            seconds(written) / len(whole),
        )


def seconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(RUNS):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--given", action="store_true")
    arguments = parser.parse_args()
    one, given = Measured() if arguments.given else measure(arguments.images), Assumed()
    print(f"{one}\n{given}\n")
    cases = [(rows, side) for rows in (1e8, 1e9) for side in (64, 256)]
    print("| | " + " | ".join(f"{rows:.0e} at {side} px".replace("e+0", "0^") for rows, side in cases) + " |")
    print("| --- |" + " --- |" * len(cases))
    columns = [figures(rows, side, one, given) for rows, side in cases]
    for name in columns[0]:
        print(f"| {name} | " + " | ".join(_shown(column[name]) for column in columns) + " |")


if __name__ == "__main__":
    main()

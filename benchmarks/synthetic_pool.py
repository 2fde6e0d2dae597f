"""Write large pools of small grey images for benchmarks, row group by row group."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

GROUP = 10_000


def write_pool(path: Path, rows: int, size: int, distinct: int = 1_000) -> None:
    """Write `rows` grey PNGs of size x size in Hugging Face convention; they repeat after `distinct` different ones."""
    rng = np.random.default_rng(0)
    pngs = []
    for _ in range(distinct):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((size, size), Image.Resampling.BILINEAR).save(buffer, "PNG", compress_level=1)
        pngs.append(buffer.getvalue())
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("image", struct), ("label", pa.int64())])
    with pq.ParquetWriter(path, schema, compression="none") as writer:
        for start in range(0, rows, GROUP):
            ids = range(start, min(start + GROUP, rows))
            column = [{"bytes": pngs[i % distinct], "path": f"{i}.png"} for i in ids]
            labels = pa.array([i % 10 for i in ids], pa.int64())
            writer.write_table(pa.table({"image": pa.array(column, struct), "label": labels}, schema=schema))

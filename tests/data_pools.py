"""Write small pools for the tests of distal.data."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", **options)
    return buffer.getvalue()


def write_pool(
    path: Path,
    images: Sequence[bytes | None],
    labels: pa.Array | None = None,
    metadata: dict[str, str] | None = None,
    row_group_size: int = 1000,
    first: int = 0,
    compression: str = "SNAPPY",
) -> Path:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": data, "path": f"{first + row}.png"} for row, data in enumerate(images)]
    columns: dict[str, pa.Array] = {"image": pa.array(rows, kind)}
    if labels is not None:
        columns["label"] = labels
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=row_group_size, compression=compression)
    return path


def noise(count: int, side: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)

"""Keep where the rows of a pool lie on its map: map.parquet, for people alone, so that a report needs no pool.

It grows with each query, so no round seals it, and nothing is decided by it.
"""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.errors import StorageError
from distal.run.directory import RunDirectory

MAP = "map.parquet"
_SCHEMA = pa.schema([("row_id", pa.int64()), ("x", pa.float32()), ("y", pa.float32()), ("sample", pa.bool_())])


@dataclass(frozen=True)
class PoolMap:
    """Hold rows of the pool, row_ids int64 [n] ascending, and their places float32 [n, 2] within [-1, 1].

    sample: bool [n], whether a row stands for the rest of the pool; the others were asked or had a label.
    """

    row_ids: npt.NDArray[np.int64]
    places: npt.NDArray[np.float32]
    sample: npt.NDArray[np.bool_]

    def with_rows(self, row_ids: npt.NDArray[np.int64], places: npt.NDArray[np.float32]) -> "PoolMap":
        """Return the map with these rows, which it does not hold yet."""
        every = np.concatenate([self.row_ids, row_ids])
        order = np.argsort(every)
        sample = np.concatenate([self.sample, np.zeros(len(row_ids), dtype=np.bool_)])
        return PoolMap(every[order], np.concatenate([self.places, places])[order], sample[order])


def write_map(run: RunDirectory, drawn: PoolMap) -> None:
    """Write the map; the same rows give the same bytes."""
    x, y = np.ascontiguousarray(drawn.places.T)
    buffer = io.BytesIO()
    pq.write_table(pa.table([drawn.row_ids, x, y, drawn.sample], schema=_SCHEMA), buffer)
    run.write(MAP, buffer.getvalue())


def read_map(run: RunDirectory) -> PoolMap | None:
    """Return the map, None before one was drawn.

    Raises:
        StorageError: the file is damaged.
    """
    if not run.has(MAP):
        return None
    try:
        table = pq.read_table(io.BytesIO(run.read(MAP)), use_threads=False).cast(_SCHEMA)
        places = np.stack([table["x"].to_numpy(), table["y"].to_numpy()], 1)
        if any(column.null_count for column in table.columns) or not (np.abs(places) <= 1.0).all():
            raise ValueError("rows without a place")
    except (pa.ArrowException, ValueError, OSError, KeyError) as error:
        reason = str(error).splitlines()[0][:100]
        raise StorageError(
            f"{run.place(MAP)} is damaged: {reason}.\nDelete it: a round that follows draws it again."
        ) from None
    return PoolMap(table["row_id"].to_numpy(), places, table["sample"].to_numpy())

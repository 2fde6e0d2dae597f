"""Keep the images that a run has drawn itself to ask about them: rounds/0007/generated.parquet, a table a round.

Their row ids count from FIRST on, over all rounds. The pool's count from 0 without a gap, shard after shard: an id
among them would be outside of every shard while the round goes on, and inside of one after the next launch, when a
block of scores would have other rows. So the pool may grow below, no id ever changes its meaning, and no shard knows of
these.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.errors import RunError
from distal.run.directory import RunDirectory, round_path

Ids = npt.NDArray[np.int64]

GENERATED = "generated.parquet"
FIRST = 10**12
"""The first id of a generated image: no pool has as many rows, and whoever counts in doubles still tells ids apart."""

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]), nullable=False),
        pa.field("class", pa.int64(), nullable=False),
        pa.field("probs", pa.list_(pa.float32()), nullable=False),
    ]
)


def is_generated(row_ids: Ids) -> npt.NDArray[np.bool_]:
    """Return which rows are images that the run has drawn itself, int64 [n] to bool [n]."""
    return row_ids >= FIRST


def of_pool(row_ids: Ids) -> Ids:
    """Return those of the rows that are none of these, in their order."""
    return row_ids[~is_generated(row_ids)]


@dataclass(frozen=True)
class Generated:
    """Hold a round's drawn images.

    row_ids: int64 [n]. images: n PNG files. classes: int64 [n], the class that each was drawn for. probs: float32
    [n, K], what the model's classifier said of each before it was asked.
    """

    row_ids: Ids
    images: tuple[bytes, ...]
    classes: Ids
    probs: npt.NDArray[np.float32]


def next_ids(run: RunDirectory, round: int, n: int) -> Ids:
    """Return the ids of n images of a round, int64 [n]: they follow those of the rounds before."""
    before = sum(len(each.row_ids) for r in run.rounds() if r < round and (each := read_generated(run, r)) is not None)
    return FIRST + before + np.arange(n, dtype=np.int64)


def write_generated(run: RunDirectory, round: int, generated: Generated) -> None:
    """Write a round's images, before its query."""
    columns: list[list[Any]] = [
        generated.row_ids.tolist(),
        [{"bytes": data, "path": _path(round)} for data in generated.images],
        generated.classes.tolist(),
        generated.probs.tolist(),
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    sink = io.BytesIO()
    pq.write_table(pa.table(arrays, schema=SCHEMA), sink)
    run.write(round_path(round, GENERATED), sink.getvalue())


def read_generated(run: RunDirectory, round: int) -> Generated | None:
    """Return a round's images; None where it asks about none.

    Raises:
        StorageError: the file is damaged, or missing from a committed round.
    """
    path = round_path(round, GENERATED)
    data = run.read_if_written(path)
    if data is None:
        return None
    try:
        table = pq.read_table(io.BytesIO(data), use_threads=False, pre_buffer=False).cast(SCHEMA)
        row_ids, classes = table["row_id"].to_numpy(), table["class"].to_numpy()
        images = tuple(image["bytes"] for image in table["image"].to_pylist())
        probs = np.array(table["probs"].to_pylist(), dtype=np.float32).reshape(len(row_ids), -1)
        if not is_generated(row_ids).all() or not all(images):
            raise ValueError("it holds what are no generated images")
        return Generated(row_ids.astype(np.int64), images, classes.astype(np.int64), probs)
    except (pa.ArrowException, KeyError, ValueError, TypeError, OSError) as error:
        raise run.damaged(path, str(error).splitlines()[0][:100]) from None


class GeneratedImages:
    """Find the drawn images of a run by their row ids, round by round; a file is read once."""

    def __init__(self, run: RunDirectory) -> None:
        self._run = run
        self._rounds: set[int] = set()
        self._found: dict[int, tuple[bytes, str]] = {}

    def files(self, row_ids: Ids) -> list[tuple[bytes, str]]:
        """Return the PNG file and the path of each row, as a pool has them.

        Raises:
            RunError: the run has drawn no such image.
        """
        wanted = row_ids.tolist()
        if not self._found.keys() >= set(wanted):
            self._read()
        for row_id in wanted:
            if row_id not in self._found:
                raise RunError(
                    f"{self._run.uri}: row {row_id} is none of its generated images.\n"
                    f"Expected one of {len(self._found)} from {FIRST} on: restore {GENERATED} of its round."
                )
        return [self._found[row_id] for row_id in wanted]

    def _read(self) -> None:
        for round in self._run.rounds():
            generated = None if round in self._rounds else read_generated(self._run, round)
            if generated is not None:
                self._rounds.add(round)
                self._found |= {
                    row_id: (data, _path(round))
                    for row_id, data in zip(generated.row_ids.tolist(), generated.images, strict=True)
                }


def _path(round: int) -> str:
    """Return what stands where an image of the pool has its path."""
    return f"generated in round {round}"

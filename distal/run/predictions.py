"""Keep what both classifiers said of a query before it was answered: predictions.parquet, written before the query.

Whose probabilities are used next is decided on these alone, so that a resumed run decides as an unbroken one.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from distal.run.directory import RunDirectory, round_path

PREDICTIONS = "predictions.parquet"

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """Hold class probabilities of the rows of one query: row_ids int64 [k]; probe, head float32 [k, K].

    head: None where the model has no classifier.
    """

    row_ids: npt.NDArray[np.int64]
    probe: Floats
    head: Floats | None

    def likeliest(self, classes: Sequence[str]) -> dict[int, tuple[str, float]]:
        """Return the class that the probe takes each row for, and its probability, by row id."""
        said = zip(self.row_ids.tolist(), self.probe.argmax(1).tolist(), self.probe.max(1).tolist(), strict=True)
        return {row_id: (classes[label], probability) for row_id, label, probability in said}


def write_predictions(run: RunDirectory, round: int, predictions: Predictions) -> None:
    """Write a round's predictions."""
    columns = {"row_id": predictions.row_ids, "probe": list(predictions.probe)}
    if predictions.head is not None:
        columns["head"] = list(predictions.head)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    run.write(round_path(round, PREDICTIONS), buffer.getvalue())


def read_predictions(run: RunDirectory, round: int) -> Predictions | None:
    """Return a round's predictions; None where there was only one classifier.

    Raises:
        StorageError: the file is damaged, or missing from a committed round.
    """
    path = round_path(round, PREDICTIONS)
    data = run.read_if_written(path)
    if data is None:
        return None
    try:
        table = pq.read_table(io.BytesIO(data))
        row_ids = table["row_id"].to_numpy().astype(np.int64)
        said = {name: np.array(table[name].to_pylist(), dtype=np.float32) for name in table.column_names[1:]}
        if any(probs.ndim != 2 or len(probs) != len(row_ids) for probs in said.values()):
            raise ValueError("its columns do not fit")
        return Predictions(row_ids, said["probe"], said.get("head"))
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0][:100]
        raise run.damaged(path, reason) from None

"""A run that asks, without a driver: its query is written, its pool is made of small grey rows."""

import io

import numpy as np
from PIL import Image

from distal.oracle.classes import Classes
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger, Query

CLASSES = Classes(("cat", "dog", "<img src=x onerror=alert(1)>"), {"dog": 2.0})


def ask(run: RunDirectory, round: int, rows: range) -> Query:
    query = Query(round, np.array(rows, dtype=np.int64), np.zeros(len(rows), np.float32), "margin")
    Ledger(run).write_query(query)
    return query


def encoded(pixels: np.ndarray, format: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format=format)
    return data.getvalue()


class Pool:
    """Row i is an 8 x 8 image of grey level i; row 2 is a GIF and row 3 no image at all."""

    has_labels = False

    def __init__(self) -> None:
        self.read: list[int] = []

    def originals(self, row_ids):
        self.read += row_ids.tolist()
        rows = [encoded(np.full((8, 8), i % 256, np.uint8), "GIF" if i == 2 else "PNG") for i in row_ids.tolist()]
        return [(b"none" if i == 3 else data, f"a/{i}.png") for i, data in zip(row_ids.tolist(), rows, strict=True)]

    def pixels(self, row_ids):
        return np.stack([np.full((1, 8, 8), i % 256, np.uint8) for i in row_ids])

"""Write tasks as the CSV that `oracle.kind=files` has people fill in, and read any CSV of row ids and labels."""

from distal.oracle.formats.task import Batch, Brought, whole_number
from distal.oracle.sheet import blank_sheet, csv_rows
from distal.oracle.told import Told


def write(batch: Batch) -> dict[str, bytes]:
    """Return labels.csv, with an empty column `label`."""
    return {"labels.csv": blank_sheet({task.row_id: task.path for task in batch.tasks})}


def read(data: bytes, annotator: str, now: float) -> Brought:
    """Read a CSV with the columns row_id and label, and annotator where it has one; empty labels are left out."""
    brought = Brought([], [])
    for line, cells in csv_rows(data, ("row_id",), brought.problems):
        if not cells.get("label"):
            continue
        row_id = whole_number(cells.get("row_id"))
        if row_id is None:
            brought.problems.append(f"line {line}: row id {cells.get('row_id', '')!r} is no number")
            continue
        brought.told.append(Told(f"line {line}", row_id, cells["label"], cells.get("annotator") or annotator, now))
    return brought

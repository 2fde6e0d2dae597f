"""Carry questions to labeling tools and answers back, in files.

label-studio    label_studio.py     tasks.json and labeling.xml; back: JSON, JSON-MIN or CSV
coco            coco.py             annotations.json, and images
cvat            cvat.py             labels.json, and images; back: CVAT for images 1.1
csv             sheet.py            labels.csv, and images
"""

import io
import json
import zipfile
from collections.abc import Callable

from distal.errors import OracleError
from distal.oracle.formats import coco, cvat, label_studio, sheet
from distal.oracle.formats.task import Batch, Brought, Task

FORMATS: dict[str, Callable[[Batch], dict[str, bytes]]] = {
    "label-studio": label_studio.write,
    "coco": coco.write,
    "cvat": cvat.write,
    "csv": sheet.write,
}
"""What writes the files of a format beside its images, by name."""

LARGEST = 2**30
"""Bytes of annotations that an archive may unpack to."""


def read_answers(data: bytes, pool: str, annotator: str, now: float) -> Brought:
    """Read a file that a labeling tool has exported; which tool is seen from the file.

    pool: the fingerprint of the run's images. annotator, now: stand for what a format does not say.

    Raises:
        OracleError: it is none of the formats.
    """
    if data.startswith(b"PK\x03\x04"):
        data = _unpacked(data)
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        return cvat.read(data, annotator, now)
    if start not in (b"[", b"{"):
        return sheet.read(data, annotator, now)
    try:
        tree = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise OracleError(f"the file is no JSON: {str(error)[:150]}\nExport it again.") from None
    if isinstance(tree, list):
        return label_studio.read(tree, pool, now)
    if isinstance(tree, dict) and "images" in tree and "annotations" in tree:
        return coco.read(tree, annotator, now)
    if isinstance(tree, dict) and "data" in tree:
        return label_studio.read([tree], pool, now)
    raise OracleError(
        "the file is JSON of no kind that is read here.\n"
        "Expected: a list of tasks (Label Studio), or an object with images, annotations and categories (COCO)."
    )


def _unpacked(data: bytes) -> bytes:
    """Return the annotations in an archive, as CVAT exports them."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == "annotations.xml"]
            if len(found) == 1 and found[0].file_size <= LARGEST:
                return archive.read(found[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise OracleError(f"the archive cannot be read: {error}\nExport it again.") from None
    raise OracleError(
        "the archive does not hold one annotations.xml.\n"
        "Expected: CVAT for images 1.1. A workbook (.xlsx, .ods) is to be saved as CSV."
    )


__all__ = ["FORMATS", "Batch", "Brought", "Task", "read_answers"]

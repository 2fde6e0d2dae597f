"""Write what a task of CVAT is made from, and read its export "CVAT for images 1.1": tags on whole images."""

import json
import xml.etree.ElementTree as ET
from typing import Any

from distal.oracle.formats.task import Batch, Brought, row_id_of_name
from distal.oracle.told import Told


def write(batch: Batch) -> dict[str, bytes]:
    """Return labels.json, to be pasted under "Raw" where a task's labels are made; its images lie beside it."""
    labels: list[dict[str, Any]] = [{"name": name, "type": "tag", "attributes": []} for name in batch.choices()]
    return {"labels.json": (json.dumps(labels, indent=1, ensure_ascii=False) + "\n").encode()}


def read(data: bytes, annotator: str, now: float) -> Brought:
    """Read annotations.xml. An image is known by its name, which is the row id."""
    brought = Brought([], [])
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # which CVAT never writes, and which can stand for gigabytes
        brought.problems.append("it declares entities, which no export of CVAT does; nothing is read")
        return brought
    try:
        root = ET.fromstring(data)
    except ET.ParseError as error:
        brought.problems.append(f"it is no XML: {error}")
        return brought
    for image in root.iter("image"):
        name = image.get("name", "")
        row_id = row_id_of_name(name)
        tags = [tag.get("label", "") for tag in image.iter("tag")]
        if row_id is None:
            if tags:
                brought.problems.append(f"image {name}: its name is no row id")
            continue
        brought.told.extend(Told(f"image {name}", row_id, label, annotator, now) for label in tags)
    return brought

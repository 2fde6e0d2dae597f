"""Write tasks as a COCO-like JSON of whole-image categories, and read it back once it has annotations.

COCO has no classification of whole images; tools that speak it take an annotation that has a category and no box. They
number images anew, so an image is known by its field `row_id`, or by the file name that it was given here.
"""

import json
from typing import Any

from distal.oracle.formats.task import Batch, Brought, items, row_id_of_name, whole_number
from distal.oracle.told import Told


def write(batch: Batch) -> dict[str, bytes]:
    """Return annotations.json: images, categories (the last declines an image), and no annotation yet."""
    tree = {
        "info": {"description": f"round {batch.round}, asked by distal"},
        "images": [
            {"id": t.row_id, "row_id": t.row_id, "file_name": t.place, "width": t.size[0], "height": t.size[1]}
            for t in batch.tasks
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(batch.choices(), 1)],
        "annotations": [],
    }
    return {"annotations.json": (json.dumps(tree, indent=1, ensure_ascii=False) + "\n").encode()}


def read(tree: dict[str, Any], annotator: str, now: float) -> Brought:
    """Read the annotations of a COCO-like tree."""
    brought = Brought([], [])
    names = {category.get("id"): category.get("name") for category in items(tree.get("categories"))}
    images = {image.get("id"): image for image in items(tree.get("images"))}
    for number, annotation in enumerate(items(tree.get("annotations")), 1):
        where = f"annotation {annotation.get('id', number)}"
        image = images.get(annotation.get("image_id"))
        if image is None:
            brought.problems.append(f"{where}: there is no image {annotation.get('image_id')}")
            continue
        row_id = whole_number(image.get("row_id"))
        row_id = row_id_of_name(image.get("file_name")) if row_id is None else row_id
        category = annotation.get("category_id")
        if row_id is None:
            file_name = image.get("file_name")
            brought.problems.append(f"{where}: its image {file_name} has no row_id, nor is its name one")
        elif category not in names:
            brought.problems.append(f"{where}: row {row_id}: there is no category {category}")
        else:
            brought.told.append(Told(where, row_id, names[category], annotator, now))
    return brought

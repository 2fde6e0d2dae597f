"""What a labeling tool is given comes back with the same rows and classes, however the classes are called."""

import csv
import io
import json
import xml.etree.ElementTree as ET
import zipfile

import pytest

from distal.errors import OracleError
from distal.oracle.formats import FORMATS, Batch, Task, read_answers

ODD = ('a "b" & <c>', "Löwe, groß", "tab\tin it", "3", "line\nbreak", " spaces ", "日本")
ROWS = (7, 3, 5, 12, 40, 41, 42)


def batch(names=ODD, place="images/{}.png", **more):
    tasks = [Task(row, place.format(row), f"scans/{row} a.jpg", 0.5, (12, 10), **more) for row in ROWS]
    return Batch(tasks, 3, "pool-a", names)


def written(name, **more):
    return FORMATS[name](batch(**more))


def answered_in_label_studio(files, form):
    """Answer each task with the choice that the labeling configuration offers at its place."""
    choices = [choice.get("value") for choice in ET.fromstring(files["labeling.xml"]).iter("Choice")]
    tasks = json.loads(files["tasks.json"])
    if form == "min":
        return [{**task["data"], "id": n, "label": choices[n], "annotator": 1} for n, task in enumerate(tasks)]
    result = [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": [c]}} for c in choices]
    return [
        {"id": 100 + n, **task, "annotations": [{"result": [result[n]], "completed_by": {"email": "ann@x.org"}}]}
        for n, task in enumerate(tasks)
    ]


def in_label_studio():
    return json.dumps(answered_in_label_studio(written("label-studio"), "json")).encode()


def in_label_studio_min():
    return json.dumps(answered_in_label_studio(written("label-studio"), "min")).encode()


def in_coco():
    """As tools do that number images, categories and annotations anew."""
    tree = json.loads(written("coco")["annotations.json"])
    new = {image["id"]: n for n, image in enumerate(tree["images"], 1)}
    images = [{"id": new[i["id"]], "file_name": i["file_name"].rpartition("/")[2]} for i in tree["images"]]
    annotations = [{"id": n, "image_id": n, "category_id": 10 * n} for n in new.values()]
    categories = [{"id": 10 * category["id"], "name": category["name"]} for category in tree["categories"]]
    return json.dumps({"images": images, "annotations": annotations, "categories": categories}).encode()


def in_cvat():
    labels = [label["name"] for label in json.loads(written("cvat")["labels.json"])]
    root = ET.Element("annotations")
    for n, row in enumerate(ROWS):
        image = ET.SubElement(root, "image", id=str(n), name=f"for-cvat/{row}.png", width="12", height="10")
        ET.SubElement(image, "tag", label=labels[n], source="manual")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("annotations.xml", ET.tostring(root, encoding="utf-8", xml_declaration=True))
    return packed.getvalue()


def in_a_spreadsheet():
    rows = list(csv.DictReader(io.StringIO(written("csv")["labels.csv"].decode())))
    filled = io.StringIO()
    writer = csv.DictWriter(filled, rows[0].keys())
    writer.writeheader()
    writer.writerows({**row, "label": ODD[n]} for n, row in enumerate(rows))
    return filled.getvalue().encode()


@pytest.mark.parametrize("tool", [in_label_studio, in_label_studio_min, in_coco, in_cvat, in_a_spreadsheet])
def test_rows_and_odd_names_survive_the_round_trip(tool):
    brought = read_answers(tool(), "pool-a", "somebody", 1.0)
    assert brought.problems == []
    said = [(told.row_id, told.label.strip() if tool is in_a_spreadsheet else told.label) for told in brought.told]
    assert said == [
        (row, name.strip() if tool is in_a_spreadsheet else name) for row, name in zip(ROWS, ODD, strict=True)
    ]


def test_label_studio_shows_a_suggestion_and_keys_for_nine_classes():
    names = [f"class {n}" for n in range(12)]
    files = written("label-studio", names=names, suggestion=("class 3", 0.75))
    (prediction,) = json.loads(files["tasks.json"])[0]["predictions"]
    assert prediction["score"] == 0.75
    assert prediction["result"][0]["value"] == {"choices": ["class 3"]}
    keys = [choice.get("hotkey") for choice in ET.fromstring(files["labeling.xml"]).iter("Choice")]
    assert keys == [*"123456789", None, None, None]


def task(row_id=7, **annotation):
    return {"id": 5, "data": {"row_id": row_id, "pool": "pool-a"}, "annotations": [annotation]}


def choice(*names):
    return [{"from_name": "label", "type": "choices", "value": {"choices": list(names)}}]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([task(result=[])], "task 5: row 7 was submitted with 0 classes instead of one"),
        ([task(result=choice("a", "b"))], "task 5: row 7 was submitted with 2 classes instead of one"),
        ([{"id": 5, "data": {"image": "x"}}], "task 5: its data has no row_id, so it is no task of distal"),
        ([{"id": 5, "data": {"row_id": 7, "pool": "pool-b"}}], "task 5: row 7 is an image of another pool"),
        (
            {"images": [{"id": 1, "file_name": "cat.jpg"}], "annotations": [{"id": 9, "image_id": 1}]},
            "annotation 9: its image cat.jpg has no row_id, nor is its name one",
        ),
        ({"images": [], "annotations": [{"id": 9, "image_id": 1}]}, "annotation 9: there is no image 1"),
    ],
)
def test_what_is_no_answer_says_where_and_why(given, says):
    brought = read_answers(json.dumps(given).encode(), "pool-a", "somebody", 1.0)
    assert (brought.told, brought.problems) == ([], [says])


def test_in_label_studio_skipping_declines_and_each_answer_keeps_its_person_and_time():
    time = "2026-11-28T12:00:00.5Z"
    given = [task(was_cancelled=True, completed_by=4, updated_at=time), task(3, result=choice("a"), updated_at=time)]
    brought = read_answers(json.dumps(given).encode(), "pool-a", "somebody", 1.0)
    said = [(told.row_id, told.label, told.annotator, told.time) for told in brought.told]
    assert said == [(7, None, "label-studio:4", 1795867200.5), (3, "a", "label-studio", 1795867200.5)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"a": 1}', "JSON of no kind that is read here"),
        (b"[1, 2", "is no JSON"),
        (b"PK\x03\x04 and so on", "cannot be read"),
        (b"[" * 200_000, "is no JSON"),
    ],
)
def test_other_files_are_refused(data, says):
    with pytest.raises(OracleError, match=says):
        read_answers(data, "pool-a", "somebody", 1.0)


def test_entities_in_xml_are_not_expanded():
    bomb = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "cc">]><annotations><image name="7.png"/></annotations>'
    assert "declares entities" in read_answers(bomb, "pool-a", "somebody", 1.0).problems[0]

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_pools import noise, png, write_pool

from distal.data.table import open_images
from distal.errors import PoolError

IMAGES = [png(each) for each in noise(4)]


def _names(*names):
    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    return {"huggingface": json.dumps({"info": {"features": features}})}


def _read_every_label(config):
    table = open_images(config)
    return table.labels(np.arange(table.rows))


def _refused(pool, match, **fields):
    with pytest.raises(PoolError, match=match) as caught:
        _read_every_label(pool(**fields))
    assert str(caught.value).count("\n") <= 2
    assert all(len(line) < 400 for line in str(caught.value).splitlines())


def test_class_names_come_from_the_huggingface_metadata(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([1, 0, None, -1]), _names("cat", "dog"))
    table = open_images(pool())
    assert table.classes == ("cat", "dog")
    assert table.labels(np.array([3, 2, 1, 0])).tolist() == [-1, -1, 0, 1]
    assert table.class_counts() == {"cat": 1, "dog": 1}


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["dog", "cat", None, "dog"]),
        pa.array(["dog", "cat", None, "dog"]).dictionary_encode(),
        pa.array(["dog", "cat", None, "dog"], pa.large_string()),
    ],
)
def test_string_labels_map_to_sorted_names_or_to_the_configured_ones(tmp_path, pool, labels):
    write_pool(tmp_path / "a.parquet", IMAGES, labels, row_group_size=2)
    assert open_images(pool()).classes == ("cat", "dog")
    assert open_images(pool()).labels(np.arange(4)).tolist() == [1, 0, -1, 1]
    assert open_images(pool(classes=["dog", "emu", "cat"])).labels(np.arange(4)).tolist() == [0, 2, -1, 0]


@pytest.mark.parametrize("name", ["x" * 201, "x" * 10_000_000, " ", ""], ids=["201", "10 MB", "blank", "empty"])
@pytest.mark.parametrize("where", ["labels", "schema", "configuration"])
def test_a_class_name_that_is_none_is_refused_wherever_it_stands(tmp_path, pool, name, where):
    labels = pa.array(["cat", name, "cat", None] if where == "labels" else [0, 1, 0, None])
    write_pool(tmp_path / "a.parquet", IMAGES, labels, _names("cat", name) if where == "schema" else None)
    _refused(
        pool, r"characters.*\nExpected 1 to 200", **({"classes": ["cat", name]} if where == "configuration" else {})
    )


def test_a_class_name_of_200_characters_is_one(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array(["cat", "x" * 200, "cat", None]))
    assert open_images(pool()).classes == ("cat", "x" * 200)


@pytest.mark.parametrize("column", ["image", "label"])
def test_a_column_that_is_there_twice_is_refused_not_chosen(tmp_path, pool, column):
    table = pq.read_table(write_pool(tmp_path / "a.parquet", IMAGES, pa.array([1, 0, 1, 0])))
    pq.write_table(table.append_column(column, table.column(column)), tmp_path / "a.parquet")
    _refused(pool, rf"a\.parquet has 2 columns called '{column}'.*\n.*pool\.{column}_column")


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "dictionary"])
@pytest.mark.parametrize("label", [2**64 - 1, 2**63, 2])
def test_an_unsigned_label_beyond_the_classes_is_named_and_never_no_label(tmp_path, pool, encoded, label):
    labels = pa.array([0, None, label, 1], pa.uint64())
    write_pool(tmp_path / "a.parquet", IMAGES, labels.dictionary_encode() if encoded else labels)
    _refused(pool, f"Row 2 of the pool has the label {label}, outside the 2 classes", classes=["cat", "dog"])


@pytest.mark.parametrize(
    "labels",
    [pa.array([None] * 4, pa.int64()), pa.array([-1, None, -1, -1]), pa.array([None] * 4, pa.string())],
    ids=["null", "-1", "no name"],
)
def test_a_label_column_without_a_label_is_told_from_one_with_a_few(tmp_path, pool, labels):
    write_pool(tmp_path / "a.parquet", IMAGES, labels, row_group_size=1)
    assert not open_images(pool(classes=["cat", "dog"])).any_label()
    few = pa.array([None, None, None, "dog"])
    write_pool(tmp_path / "a.parquet", IMAGES, few, row_group_size=1)
    assert open_images(pool(classes=["cat", "dog"])).any_label()
    assert not open_images(pool(classes=["cat", "dog"], label_column=None)).any_label()


def test_integer_labels_without_names_become_numbers_up_to_the_largest(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 3, 1, 1], pa.uint8()))
    assert open_images(pool()).classes == ("0", "1", "2", "3")


def test_files_without_statistics_give_the_same_classes(tmp_path, pool):
    table = pa.table({"image": pa.array(IMAGES), "label": pa.array([0, 3, None, 1])})
    pq.write_table(table, tmp_path / "a.parquet", write_statistics=False)
    assert open_images(pool()).classes == ("0", "1", "2", "3")


def test_a_label_outside_the_classes_names_its_row(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]), _names("x", "y"))
    write_pool(tmp_path / "b.parquet", IMAGES, pa.array([0, 1, 7, 1]), _names("x", "y"))
    _refused(pool, "Row 6 of the pool has the label 7, outside the 2 classes")
    write_pool(tmp_path / "b.parquet", IMAGES, pa.array([0, 1, 0, -2]), _names("x", "y"))
    _refused(pool, "Row 7 of the pool has the label -2")


def test_an_unknown_class_name_names_its_row_and_the_nearest(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array(["cat", "dgo", "cat", "dog"]))
    _refused(
        pool, r"Row 1 of the pool has the label 'dgo', which is no class. did you mean 'dog'", classes=["cat", "dog"]
    )


def test_a_missing_column_is_named_with_the_nearest(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]))
    _refused(pool, "no column 'imgae': did you mean 'image'", image_column="imgae")
    _refused(pool, re.escape("Its columns: image, label"), label_column="klass")


def test_columns_of_the_wrong_type_are_refused(tmp_path, pool):
    pq.write_table(pa.table({"image": ["a.png"]}), tmp_path / "a.parquet")
    _refused(pool, "Expected encoded images: struct")
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0.5, 1.0, 2.0, 3.0]))
    _refused(pool, "Label column 'label' .* is of type double")


def test_files_that_differ_are_refused(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]))
    write_pool(tmp_path / "b.parquet", IMAGES)
    _refused(pool, "b.parquet has another schema than .*a.parquet: labels missing instead of code")


def test_configured_names_that_contradict_the_file_are_refused(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]), _names("x", "y"))
    _refused(pool, "pool.classes contradicts", classes=["y", "x"])


def test_a_column_of_identifiers_is_no_label_column(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 10**9, 1]))
    _refused(pool, "these are no class labels")


def test_metadata_without_features_is_passed_over(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]), {"huggingface": "[1, 2"})
    assert open_images(pool()).classes == ("0", "1")


@pytest.mark.parametrize(
    ("names", "match"),
    [([["a"], ["b"]], "are no text"), (["\ud800", "b"], "are no text"), ([1, "1"], "names a class twice")],
)
def test_class_names_that_are_no_distinct_texts_are_refused(tmp_path, pool, names, match):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]), _names(*names))
    _refused(pool, match)


def test_metadata_nested_without_end_is_passed_over(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]), {"huggingface": "[" * 200_000})
    assert open_images(pool()).classes == ("0", "1")


@pytest.mark.parametrize("statistics", [True, False])
def test_labels_beyond_the_rows_are_no_classes(tmp_path, pool, statistics):
    for labels, match in (
        (pa.array([0, 1000, 2000, 3000]), "run up to 3000, but the pool has only 4 rows"),
        (pa.array([0, 1, 2, 2**63 + 5], pa.uint64()), "are no class labels"),
        (pa.array([0, 1, 2, 2**63 + 5], pa.uint64()).dictionary_encode(), "are no class labels"),
    ):
        table = pq.read_table(write_pool(tmp_path / "a.parquet", IMAGES)).append_column("label", labels)
        pq.write_table(table, tmp_path / "a.parquet", write_statistics=statistics)
        _refused(pool, match)


def test_more_named_classes_than_a_run_can_hold_are_refused(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", IMAGES, pa.array([0, 1, 0, 1]), _names(*map(str, range(70_000))))
    _refused(pool, "names 70000 classes or more")


def test_names_that_are_no_text_are_refused_and_paths_are_shown_as_far_as_they_go(tmp_path, pool):
    raw = pa.array([b"cat", b"\xff\xfe", b"cat", None])
    broken = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    write_pool(tmp_path / "a.parquet", IMAGES, broken)
    _refused(pool, "cannot be read as text")
    _refused(pool, "Row 1 of the pool has the label", classes=["cat", "dog"])
    image = pa.StructArray.from_arrays([pa.array(IMAGES), broken], names=["bytes", "path"])
    pq.write_table(pa.table({"image": image}), tmp_path / "a.parquet")
    shown = [path for _, path in open_images(pool()).originals(np.arange(4))]
    assert shown == ["cat", "\ufffd\ufffd", "cat", ""]

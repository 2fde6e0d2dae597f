"""Labels that there are already: every common form is read alike, and what names no image or class is refused."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from distal.errors import ConfigError
from distal.oracle.classes import Classes
from distal.oracle.given import match, names_of, read_table

CLASSES = Classes(("cat", "dog", "Löwe"), {})


class Pool:
    """Twenty rows; row i has the path i.png, but 3 and 4 share one."""

    first_rows = 20

    def rows_at(self, paths):
        found = {}
        for row in range(20):
            found.setdefault("twice.png" if row in (3, 4) else f"{row}.png", []).append(row)
        return {path: rows for path, rows in found.items() if path in paths}


def written(folder: Path, content: str | dict) -> str:
    path = folder / ("mine.csv" if isinstance(content, str) else "mine.parquet")
    if isinstance(content, str):
        path.write_text(content)
    else:
        pq.write_table(pa.table(content), path)
    return str(path)


@pytest.mark.parametrize(
    "content",
    [
        "row_id,label\n7,dog\n2,cat\n9,\n",
        "path,label\n7.png,dog\n2.png,cat\n9.png,\n",
        "label;path\nDOG;7.png\n0;2.png\n",
        "row_id,file,path,label\n7,7.png,7.png,dog\n2,2.png,2.png,cat\n5,5.png,5.png,skip\n7,,,dog\n",
        {"row_id": [7, 2, 9], "label": ["dog", "cat", None]},
        {"path": ["7.png", "2.png", "9.png"], "label": pa.array(["dog", "cat", None]).dictionary_encode()},
        {"row_id": [7, 2], "label": [1, 0], "note": ["a", "b"]},
        {"row_id": [7.0, 2.0, 9.0], "label": [1.0, 0.0, float("nan")]},
    ],
    ids=["csv", "csv by path", "semicolon", "a filled sheet", "parquet", "by path", "indices", "pandas"],
)
def test_every_common_form_is_read_alike(tmp_path, content):
    given = match(read_table(written(tmp_path, content)), Pool(), CLASSES)
    assert (given.row_ids.tolist(), given.labels.tolist(), given.rounds.tolist()) == ([2, 7], [0, 1], [0, 0])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("row_id,label\n7,dgo\n", "line 2: 'dgo' is no class; did you mean 'dog'?"),
        ("row_id,label\n7,3\n8,4\n", r"3 is no class index; expected 0 to 2 \(and 1 more\)"),
        ("row_id,label\n20,dog\n", "row id '20' is none of the pool's; its rows are 0 to 19"),
        ("row_id,label\nx,dog\n", "row id 'x' is none"),
        ("path,label\nnone.png,dog\n", "no image of the pool has the path 'none.png'"),
        ("path,label\ntwice.png,dog\n", "2 images have the path 'twice.png'; give row_id"),
        ("row_id,label\n,dog\n", "line 2: names no image"),
        ("row_id,path,label\n7,2.png,dog\n", "the path '2.png' is that of row 2, not of row 7"),
        ("row_id,label\n7,dog\n7,cat\n", "line 3: row 7 has another label than in line 2"),
        ("row_id,label\n7,\n", "it holds no label"),
        ("7,dog\n", "no header; expected row_id or path, and label"),
        ("row_id,label,label\n7,dog,cat\n", "2 columns are called label"),
        ({"image": [7], "label": ["dog"]}, "its columns are image, label"),
    ],
)
def test_what_names_no_image_or_no_class_is_refused(tmp_path, content, says):
    with pytest.raises(ConfigError, match=says) as refused:
        match(read_table(written(tmp_path, content)), Pool(), CLASSES)
    assert str(refused.value).startswith("query.labels: ")
    assert len(str(refused.value).splitlines()) == 2


def test_two_columns_of_one_name_are_refused(tmp_path):
    columns = [pa.array([7]), pa.array(["dog"]), pa.array(["cat"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["row_id", "label", "label"]), tmp_path / "mine.parquet")
    with pytest.raises(ConfigError, match="its columns are row_id, label, label"):
        read_table(str(tmp_path / "mine.parquet"))


def test_a_table_that_is_none_or_not_there_is_refused_by_the_key(tmp_path):
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    for path in ("none.csv", "cut.parquet"):
        with pytest.raises(ConfigError, match=r"query\.labels"):
            read_table(str(tmp_path / path))


def test_names_of_classes_are_taken_where_no_label_may_be_a_number(tmp_path):
    assert names_of(read_table(written(tmp_path, "row_id,label\n7,dog\n2,cat\n3,dog\n5,skip\n"))) == ("cat", "dog")
    assert names_of(read_table(written(tmp_path, "row_id,label\n7,dog\n2,1.0\n"))) is None
    assert names_of([]) is None

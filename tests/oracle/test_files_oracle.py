"""People label in a folder: nothing they edited is overwritten, a part is as welcome as the whole."""

import io
import json
import os

import numpy as np
import pyarrow.fs
import pytest
from PIL import Image
from pool_of_rows import CLASSES, PoolOfRows, encoded

from distal.errors import OracleError, StorageError
from distal.oracle.classes import Classes
from distal.oracle.files import FilesOracle
from distal.run.directory import RunDirectory
from distal.run.ledger import Answer, Ledger, Query

CSV = "rounds/0001/to-label/labels.csv"


class PoolAt(PoolOfRows):
    """Give every image the same path."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def originals(self, row_ids):
        return [(data, self.path) for data, _ in super().originals(row_ids)]


def oracle(run, pool=None, classes=CLASSES) -> FilesOracle:
    return FilesOracle(
        run, pool or PoolOfRows(), Classes(classes, {"dog": 2.0} if "dog" in classes else {}), 50_000_000
    )


def collect(made, run, query) -> list:
    ledger = Ledger(run)
    for answers in made.collect(query, ledger.pending(query)):
        ledger.record(query.round, answers)
    return [(a.row_id, a.label) for a in ledger.answers(query.round)]


def test_a_query_becomes_images_a_sheet_and_a_readme(run, query):
    oracle(run).submit(query)
    assert run.list("rounds/0001/to-label") == [
        *("12.png", "3.png", "5.png", "7.png"),
        *("README.txt", "index.html", "labels.csv"),
    ]
    image = Image.open(io.BytesIO(run.read("rounds/0001/to-label/7.png")))
    assert (image.format, image.size, image.mode) == ("PNG", (10, 12), "L")
    readme = run.read("rounds/0001/to-label/README.txt").decode()
    assert "0  cat\n1  dog\n2  Löwe\n" in readme
    assert "skip" in readme
    assert "skip" not in oracle(run, classes=("a", "Skip"))._readme()


def test_a_page_shows_the_classes_and_every_image_by_its_row_and_path(run, query):
    oracle(run).submit(query)
    page = run.read("rounds/0001/to-label/index.html").decode()
    for row_id in (7, 3, 5, 12):
        assert f'<a href="{row_id}.png"><img src="{row_id}.png" alt="Image {row_id}"></a>' in page
        assert f"<figcaption><b>{row_id}</b> img/{row_id}.png</figcaption>" in page
    assert "<li><b>1</b><span>dog</span></li>" in page


def test_a_page_shows_how_far_the_run_is_as_the_labeling_page_does(run, query):
    Ledger(run).record(1, [Answer(7, 1, "ann", 1.0, 2.5), Answer(3, 1, "ann", 1.0), Answer(5, None, "ann", 1.0)])
    recall = [{"class": "<dog>", "found": 2, "total": 1700, "low": 2, "high": 9000}]
    run.write("rounds/0001/metrics.json", json.dumps({"recall": recall}).encode())
    second = Query(2, np.array([20], dtype=np.int64), np.zeros(1, np.float32), "margin")
    Ledger(run).write_query(second)
    oracle(run).submit(second)
    page = run.read("rounds/0002/to-label/index.html").decode()
    assert "<strong>r</strong> · Round 2 · 1 image to label" in page
    assert "<li><b>1</b><span>dog</span>2</li>" in page
    assert "<dt>Cost so far</dt><dd>4.5</dd>\n<dt>No class</dt><dd>1</dd>" in page
    assert "<dt>Found of &lt;dog&gt;</dt><dd>2 of about 1,700</dd>" in page


def test_the_sheet_says_where_each_image_comes_from(run, query):
    oracle(run).submit(query)
    assert run.read(CSV).decode().splitlines()[:2] == ["row_id,file,path,label", "7,7.png,img/7.png,"]


def test_originals_of_other_formats_become_png(run, query):
    colour = np.zeros((40, 30, 3), np.uint8)
    oracle(run, PoolOfRows({7: encoded(colour, "JPEG"), 3: encoded(colour, "GIF")})).submit(query)
    for name in ("7", "3"):
        image = Image.open(io.BytesIO(run.read(f"rounds/0001/to-label/{name}.png")))
        assert (image.format, image.size, image.mode) == ("PNG", (30, 40), "RGB")


def test_submitting_again_leaves_an_edited_sheet_and_mends_a_lost_image(run, query):
    made = oracle(run)
    made.submit(query)
    edited = b"row_id,file,label\n7,7.png,dog\n"
    run.write(CSV, edited)
    run.delete("rounds/0001/to-label/3.png")
    made.submit(query)
    assert run.read(CSV) == edited
    assert run.has("rounds/0001/to-label/3.png")


def test_a_blank_sheet_is_not_yet_and_says_what_to_do(run, query):
    made = oracle(run)
    made.submit(query)
    assert list(made.collect(query, query.row_ids)) == []
    assert made.waiting(query, query.row_ids) == (
        f"waiting for 4 labels: fill in {run.local}/{CSV}, then run: distal resume {run.local}"
    )
    assert "waiting for 1 label:" in made.waiting(query, query.row_ids[:1])


def test_a_part_is_taken_and_the_rest_later(run, query):
    made = oracle(run)
    made.submit(query)
    run.write(CSV, b"row_id,file,label,annotator\n7,7.png,dog,Ada\n3,3.png,,\n")
    os.utime(run.local / CSV, (1_600_000_000, 1_600_000_000))
    assert collect(made, run, query) == [(7, 1)]
    first = Ledger(run).answers(1)[0]
    assert (first.annotator, first.time, first.cost) == ("Ada", 1_600_000_000.0, 2.0)
    run.write(CSV, b"row_id,file,label\n7,7.png,dog\n3,3.png,cat\n5,,skip\n12,,2\n")
    assert collect(oracle(run), run, query) == [(7, 1), (3, 0), (5, None), (12, 2)]
    assert Ledger(run).answers(1)[1].annotator == "files"


def test_bad_lines_are_reported_and_the_rest_taken(run, query, caplog):
    made = oracle(run)
    made.submit(query)
    run.write(CSV, b"row_id,file,label\n7,7.png,dgo\n3,3.png,cat\n99,,cat\n")
    assert collect(made, run, query) == [(3, 0)]
    assert len(made.problems) == 2
    assert caplog.messages[1].startswith("not taken: round 1, line 4: row 99 is not asked for")
    with pytest.raises(OracleError) as refused:
        oracle(run).waiting(query, Ledger(run).pending(query))
    assert "not taken: round 1, line 2: 'dgo' is no class; did you mean 'dog'? (and 1 more)" in str(refused.value)
    assert "waiting for 3 labels" in str(refused.value)


def test_an_answer_edited_after_it_was_collected_stays_as_it_was_and_is_said(run, query):
    made = oracle(run)
    made.submit(query)
    run.write(CSV, b"row_id,label\n7,dog\n")
    collect(made, run, query)
    run.write(CSV, b"row_id,label\n7,cat\n3,cat\n")
    assert collect(made, run, query) == [(7, 1), (3, 0)]
    changed = "round 1, line 2: row 7 was answered before; its first answer stays: 'dog'"
    assert made.problems == [changed]

    later = Query(2, np.array([1], dtype=np.int64), np.zeros(1, np.float32), "margin")
    Ledger(run).write_query(later)
    with pytest.raises(OracleError, match=changed):
        oracle(run).waiting(later, later.row_ids)


def test_a_recorded_label_that_is_no_class_is_damage(run, query):
    made = oracle(run)
    made.submit(query)
    run.write(CSV, b"row_id,label\n7,dog\n")
    Ledger(run).record(1, [Answer(7, 99, "somebody", 0.0)])
    with pytest.raises(StorageError, match=r"labels\.parquet is damaged: label 99"):
        made.waiting(query, Ledger(run).pending(query))


def test_many_problems_are_counted_not_listed(run, query, caplog):
    made = oracle(run)
    made.submit(query)
    run.write(CSV, b"row_id,label\n" + b"99,cat\n" * 50)
    assert collect(made, run, query) == []
    assert len(caplog.messages) == 11
    assert caplog.messages[-1] == "not taken: 40 more lines"


def test_a_sheet_that_was_deleted_is_waited_for_and_made_anew(run, query):
    made = oracle(run)
    made.submit(query)
    run.delete(CSV)
    assert list(made.collect(query, query.row_ids)) == []
    assert "waiting for 4 labels" in made.waiting(query, query.row_ids)
    made.submit(query)
    assert run.has(CSV)


def test_an_object_store_holds_the_folder_as_well(query):
    run = RunDirectory.on(pyarrow.fs._MockFileSystem(), "bucket", "r", "s3://bucket/r")
    Ledger(run).write_query(query)
    made = oracle(run)
    made.submit(query)
    run.write(CSV, b"row_id,label\n7,dog\n")
    assert collect(made, run, query) == [(7, 1)]
    said = made.waiting(query, query.row_ids)
    assert "fill in s3://bucket/r/rounds/0001/to-label/labels.csv, then run: distal resume s3://bucket/r" in said


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "=cmd|' /C calc'!A0", "../../x"])
def test_names_of_classes_and_paths_reach_no_file_name_no_formula_and_no_markup(run, query, name):
    oracle(run, PoolAt(name), classes=("cat", name)).submit(query)
    assert ",=" not in run.read(CSV).decode()
    assert "<script" not in run.read("rounds/0001/to-label/index.html").decode()
    assert len(run.list("rounds/0001/to-label")) == 7

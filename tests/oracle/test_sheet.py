"""The CSV is read whatever a spreadsheet has made of it, and what cannot be taken is named by line."""

import pytest

from distal.oracle.classes import Classes
from distal.oracle.sheet import blank_sheet, read_sheet

CLASSES = Classes(("cat", "dog", "Löwe"), {})
ROWS = {7, 3, 5, 12}


def read(data: str | bytes):
    return read_sheet(data.encode() if isinstance(data, str) else data, ROWS, CLASSES)


def taken(data: str | bytes) -> dict:
    sheet = read(data)
    assert sheet.problems == []
    return {row_id: entry.label for row_id, entry in sheet.entries.items()}


PLAIN = "row_id,file,label\n7,7.png,dog\n3,3.png,Löwe\n5,5.png,\n12,12.png,skip\n"
FILLED = {7: 1, 3: 2, 12: None}


def test_the_blank_sheet_holds_no_answer():
    blank = blank_sheet({7: "img/7.png", 3: 'a,"b".png'})
    assert blank == b'row_id,file,path,label\r\n7,7.png,img/7.png,\r\n3,3.png,"a,""b"".png",\r\n'
    assert taken(blank) == {}


@pytest.mark.parametrize("path", ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "a\r\n9,9.png,,dog"])
def test_a_path_is_one_harmless_cell_whatever_it_holds(path):
    blank = blank_sheet({7: path})
    assert taken(blank) == {}
    assert len(blank.splitlines()) == 2
    assert b",=" not in blank


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.encode("cp1252"),
        PLAIN.replace(",", ";"),
        "sep=;\n" + PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace("\n", "\n\n"),
        PLAIN.rstrip("\n"),
        PLAIN.replace("dog", " DOG ").replace("skip", "SKIP"),
        PLAIN.replace("dog", "1").replace("Löwe", "2.0"),
        PLAIN.replace("7,7", "7.0,7"),
        PLAIN.replace("dog", '"dog"'),
        PLAIN.replace("row_id", "ROW_ID ").replace("label", "Label"),
        PLAIN.replace("12,12.png,skip", "12,12.png,skip,note,,"),
        "label,row_id\ndog,7\nLöwe,3\n,5\nskip,12\n",
    ],
    ids=[
        "plain", "bom", "utf16", "cp1252", "semicolon", "sep", "tab", "crlf", "cr", "blank lines", "no last newline",
        "case", "index", "float id", "quoted", "header case", "more cells", "other order",
    ],
)  # fmt: skip
def test_every_common_form_is_read_alike(data):
    assert taken(data) == FILLED


def test_the_annotator_is_kept_where_there_is_such_a_column():
    sheet = read("row_id,label,annotator\n7,dog,Ada\n3,cat,\n")
    assert [entry.annotator for entry in sheet.entries.values()] == ["Ada", ""]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("7,7.png,dgo", "line 3: 'dgo' is no class; did you mean 'dog'?"),
        ("7,7.png,9", "line 3: 9 is no class index; expected 0 to 2"),
        ("99,99.png,dog", "line 3: row 99 is not asked for in this round"),
        ("x,x.png,dog", "line 3: row id 'x' is no number"),
        (",7.png,dog", "line 3: row id '' is no number"),
        ("7.5,7.png,dog", "line 3: row 7.5 is not asked for in this round"),
        ("nan,7.png,dog", "line 3: row nan is not asked for in this round"),
    ],
)
def test_a_bad_line_is_named_and_the_others_are_taken(line, says):
    sheet = read(f"row_id,file,label\n3,3.png,cat\n{line}\n12,12.png,dog\n")
    assert sheet.problems == [says]
    assert {row_id: entry.label for row_id, entry in sheet.entries.items()} == {3: 0, 12: 1}


def test_a_row_with_two_labels_is_not_taken_at_all():
    sheet = read("row_id,label\n7,dog\n3,cat\n7,cat\n7,dog\n")
    assert list(sheet.entries) == [3]
    assert sheet.problems == ["line 4: row 7 has two different labels, on line 2 and here; neither is taken"]


def test_a_row_that_says_the_same_twice_or_once_nothing_is_taken():
    assert taken("row_id,label\n7,dog\n7,dog\n3,\n3,cat\n") == {7: 1, 3: 0}


@pytest.mark.parametrize("data", ["", "\n\n", "7,7.png,dog\n", "id,label\n7,dog\n", b"\x00\x01\x02"])
def test_a_file_without_header_takes_nothing_and_says_so(data):
    sheet = read(data)
    assert sheet.entries == {}
    assert len(sheet.problems) == 1
    assert "no header; expected row_id,file,path,label" in sheet.problems[0]


@pytest.mark.parametrize("data", [b"PK\x03\x04 row_id,label", b"\xd0\xcf\x11\xe0 row_id,label"], ids=["xlsx", "xls"])
def test_a_workbook_saved_over_the_sheet_is_called_one(data):
    sheet = read(data)
    assert sheet.entries == {}
    assert sheet.problems == ["line 1: this is an Excel workbook or the like, not CSV; save it as CSV under this name"]


@pytest.mark.parametrize("name", ["label", "row_id"])
def test_a_column_that_is_there_twice_is_refused_not_chosen(name):
    sheet = read(f"row_id,label,{name.upper()}\n7,dog,7\n")
    assert sheet.entries == {}
    assert sheet.problems == [f"line 1: 2 columns are called {name}, so nothing is read"]


def test_an_unclosed_quote_or_a_giant_cell_is_no_crash():
    sheet = read('row_id,label\n3,cat\n7,"dog\n12,cat\n' + "x" * 200_000)
    assert sheet.entries[3].label == 0
    assert len(sheet.problems) == 1


def test_a_line_too_short_for_its_row_id_costs_that_line_alone():
    sheet = read("label,row_id\ncat\ndog,7\n")
    assert sheet.problems == ["line 2: row id '' is no number"]
    assert {row_id: entry.label for row_id, entry in sheet.entries.items()} == {7: 1}


@pytest.mark.parametrize("row_id", ["x" * 100_000, "9" * 100_000, "1" + " " * 50 + "2" * 100_000])
def test_a_giant_row_id_is_not_repeated_whole(row_id):
    sheet = read(f"row_id,label\n{row_id},dog\n3,cat\n")
    assert list(sheet.entries) == [3]
    assert len(sheet.problems) == 1
    assert len(sheet.problems[0]) < 120


def test_a_class_called_skip_is_a_class():
    sheet = read_sheet(b"row_id,label\n7,skip\n", ROWS, Classes(("skip", "keep"), {}))
    assert sheet.entries[7].label == 0

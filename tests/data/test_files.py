import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_pools import noise, png, write_pool

from distal.data.files import find_files
from distal.data.table import open_images
from distal.errors import PoolError


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("nothing.parquet", "No such file or folder"),
        ("none-*.parquet", "matches no file"),
        ("empty", r"holds no .parquet file \(found: nothing\)"),
        ("pictures", r"\(found: .png\)"),
        ("text.parquet", "is not a Parquet file"),
        ("short.parquet", "is not a Parquet file, or is cut short"),
        ("no-rows.parquet", "The pool is empty"),
        ("s9://bucket/x", "Cannot read pool path"),
        ("gs://", "names nothing"),
        (" ", "pool.path is empty"),
    ],
)
def test_a_path_without_a_pool_is_refused_in_at_most_three_lines(tmp_path, pool, path, match):
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "x.png").write_bytes(b"x")
    (tmp_path / "text.parquet").write_text("hello, world, this is no Parquet")
    whole = write_pool(tmp_path / "whole.parquet", [png(each) for each in noise(9)]).read_bytes()
    (tmp_path / "short.parquet").write_bytes(whole[:-50])
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "no-rows.parquet")
    with pytest.raises(PoolError, match=match) as caught:
        open_images(pool(path if "://" in path or path == " " else tmp_path / path))
    assert str(caught.value).count("\n") <= 2


def test_a_folder_gives_its_parquet_files_without_hidden_ones(tmp_path):
    for name in ("b.parquet", "a.parquet", ".hidden.parquet", "_tmp/c.parquet", "deep/d.parquet", "e.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert [file.name for file in find_files(str(tmp_path))] == [
        str(tmp_path / name) for name in ("a.parquet", "b.parquet", "deep/d.parquet")
    ]


@pytest.mark.parametrize("pattern", ["*.parquet", "[ab]*.parquet", "d/*/x.parquet", "**/x.parquet"])
def test_a_glob_in_a_uri_finds_what_a_local_glob_finds(tmp_path, pattern):
    for name in ("a1.parquet", "b2.parquet", "x.parquet", "d/e/x.parquet", "d/e/f/x.parquet"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"x")
    local = [file.name for file in find_files(str(tmp_path / pattern))]
    assert [file.name for file in find_files(f"file://{tmp_path}/{pattern}")] == local != []


def test_damage_within_a_file_is_reported_with_its_name(tmp_path, pool):
    path = write_pool(tmp_path / "a.parquet", [png(each) for each in noise(50)])
    table = open_images(pool(path, image_size=8, channels=1))
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    with pytest.raises(PoolError, match=r"a\.parquet, row group 0"):
        table.originals(np.arange(50))


def test_a_file_that_is_named_twice_is_read_once_and_said_to_be(tmp_path, pool, caplog, monkeypatch):
    write_pool(tmp_path / "a.parquet", [png(each) for each in noise(9)])
    monkeypatch.chdir(tmp_path)
    assert open_images(pool(["a.parquet", str(tmp_path / "a.parquet")])).rows == 9
    assert f"named more than once and read once, the first: {tmp_path}/a.parquet" in caplog.text

import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sklearn.datasets
from data_pools import noise, png, write_pool
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distal.config import PoolConfig
from distal.data.digits import load_digits
from distal.data.rows import RowReader
from distal.data.table import open_images
from distal.errors import PoolError


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 70), min_size=1, max_size=3), group=st.integers(1, 40), data=st.data())
def test_pixels_blocks_labels_and_originals_equal_a_naive_reading(tmp_path_factory, sizes, group, data):
    folder = tmp_path_factory.mktemp("pool")
    images = noise(sum(sizes))
    labels = np.arange(sum(sizes)) % 7
    start = 0
    for number, size in enumerate(sizes):
        part = slice(start, start + size)
        encoded = [png(each) for each in images[part]]
        write_pool(folder / f"{number}.parquet", encoded, pa.array(labels[part]), row_group_size=group, first=start)
        start += size
    table = open_images(PoolConfig(path=str(folder), cache=str(folder / "cache"), block_rows=16, image_size=8))
    row_ids = np.array(data.draw(st.lists(st.integers(0, table.rows - 1), max_size=30)), dtype=np.int64)

    assert np.array_equal(np.concatenate([table.block(b) for b in range(table.blocks)])[:, 0], images)
    assert np.array_equal(table.pixels(row_ids)[:, 0], images[row_ids])
    assert np.array_equal(table.labels(row_ids), labels[row_ids])
    assert table.originals(row_ids) == [(png(images[row]), f"{row}.png") for row in row_ids]
    assert table.rows_at({"none.png", *(f"{row}.png" for row in row_ids)}) == {f"{row}.png": [row] for row in row_ids}


def test_blocks_can_be_decoded_in_any_order_of_chunks_within_one_large_row_group(tmp_path, pool, monkeypatch):
    monkeypatch.setattr("distal.data.cache._CHUNK_ROWS", 32)
    images = noise(200)
    write_pool(tmp_path / "a.parquet", [png(each) for each in images], row_group_size=200)
    table = open_images(pool(tmp_path / "a.parquet"))
    for block in [11, 0, 4, 3, 12, 7, 2]:
        assert np.array_equal(table.block(block)[:, 0], images[block * 16 : block * 16 + 16])


def test_digits_equal_those_of_scikit_learn(tmp_path):
    table = open_images(PoolConfig(cache=str(tmp_path)))
    rows = np.arange(table.rows)
    scans, targets = load_digits()
    theirs = sklearn.datasets.load_digits()
    assert np.array_equal(scans, np.rint(theirs.images * (255 / 16)).astype(np.uint8))
    assert np.array_equal(targets, theirs.target)
    original = np.array([int(path[7:11]) for _, path in table.originals(rows)])
    assert table.classes == tuple("0123456789")
    assert np.array_equal(table.pixels(rows)[:, 0], scans[original])
    assert np.array_equal(table.labels(rows), targets[original])
    assert (scans.min(), scans.max(), table.image_size, table.channels) == (0, 255, 8, 1)


def test_a_prefix_of_the_digits_is_a_fair_sample(tmp_path):
    counts = np.bincount(open_images(PoolConfig(cache=str(tmp_path))).labels(np.arange(300)), minlength=10)
    assert counts.min() >= 15  # 30 expected, standard deviation 5


def test_a_table_pickles_small_and_without_its_maps(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", [png(each) for each in noise(100)])
    table = open_images(pool())
    expected = np.array(table.block(2))
    data = pickle.dumps(table)
    assert len(data) < 4096
    assert np.array_equal(pickle.loads(data).block(2), expected)  # noqa: S301


def test_embedded_digits_are_written_anew_on_a_machine_without_them(tmp_path):
    table = open_images(PoolConfig(cache=str(tmp_path)))
    arrived = pickle.loads(pickle.dumps(table))  # noqa: S301
    (tmp_path / "pools" / "digits-1.parquet").unlink()
    assert arrived.originals(np.array([3])) == open_images(PoolConfig(cache=str(tmp_path))).originals(np.array([3]))


def test_the_fingerprint_follows_content_and_not_the_folder(tmp_path, pool):
    images = [png(each) for each in noise(20)]
    for name, labels in (("x", [0] * 20), ("y", [0] * 20), ("z", [0] * 19 + [1])):
        (tmp_path / name).mkdir()
        write_pool(tmp_path / name / "a.parquet", images, pa.array(labels))
    x, y, z = (open_images(pool(tmp_path / name)).fingerprint for name in "xyz")
    assert x == y != z


def test_rows_count_over_sorted_files_however_they_are_listed(tmp_path, pool):
    for name in ("b", "a", "c"):
        write_pool(tmp_path / f"{name}.parquet", [png(np.full((8, 8), ord(name), np.uint8))])
    listed = [str(tmp_path / "c.parquet"), str(tmp_path / "[ab].parquet"), f"file://{tmp_path}/a.parquet"]
    assert open_images(pool(listed)).pixels(np.arange(3))[:, 0, 0, 0].tolist() == [97, 98, 99]


def test_plain_binary_columns_and_missing_label_columns_are_accepted(tmp_path, pool):
    pq.write_table(pa.table({"image": pa.array([png(each) for each in noise(5)])}), tmp_path / "a.parquet")
    table = open_images(pool())
    assert (table.has_labels, table.classes, table.class_counts()) == (False, None, {})
    assert np.array_equal(table.pixels(np.arange(5))[:, 0], noise(5))
    assert table.labels(np.arange(5)).tolist() == [-1] * 5


@pytest.mark.parametrize(("side", "expected"), [(5, 8), (8, 8), (9, 16), (28, 28), (29, 32), (33, 64), (300, 64)])
def test_the_size_is_the_smallest_that_holds_the_first_images(tmp_path, pool, side, expected):
    write_pool(tmp_path / "a.parquet", [png(each) for each in noise(2, side)])
    assert open_images(pool()).image_size == expected


def test_a_colour_file_that_shows_only_grey_counts_as_grey(tmp_path, pool):
    grey = [png(np.repeat(each[..., None], 3, axis=2)) for each in noise(3)]
    write_pool(tmp_path / "a.parquet", grey)
    assert open_images(pool()).channels == 1
    write_pool(tmp_path / "a.parquet", [*grey, png(noise(3, 8).transpose(1, 2, 0)[:, :, :3].copy())])
    assert open_images(pool()).channels == 3


def test_rows_outside_the_pool_are_refused(tmp_path, pool):
    write_pool(tmp_path / "a.parquet", [png(each) for each in noise(5)])
    with pytest.raises(PoolError, match="Row 5 is outside the pool: its rows are 0 to 4"):
        open_images(pool()).pixels(np.array([1, 5]))


def test_pools_as_they_are_published_open_with_nothing_said_of_them(tmp_path):
    """28 px under one size for all, and photos of many shapes whose files name their classes."""
    names = {"info": {"features": {"label": {"names": list("0123456789"), "_type": "ClassLabel"}}}}
    scans, labels = [png(each) for each in noise(300, side=28)], pa.array(np.arange(300) % 10)
    digits = write_pool(tmp_path / "digits.parquet", scans, labels, {"huggingface": json.dumps(names)})
    table = open_images(PoolConfig(path=str(digits), cache=str(tmp_path / "cache")))
    assert (table.rows, table.image_size, table.channels, table.classes) == (300, 28, 1, tuple("0123456789"))
    assert table.block(0).shape == (256, 1, 28, 28)
    assert table.skipped(0, 1) == []
    photos = [png(noise(1, side=100 + row)[0, : 60 + row]) for row in range(40)]
    tiles = write_pool(tmp_path / "tiles.parquet", photos, pa.array(["crack", "free"] * 20))
    table = open_images(PoolConfig(path=str(tiles), cache=str(tmp_path / "cache")))
    assert (table.rows, table.image_size, table.channels) == (40, 64, 1)
    assert table.class_counts() == {"crack": 20, "free": 20}


def test_a_value_that_a_dictionary_repeats_does_not_fill_the_memory(tmp_path, pool):
    large = noise(1)[0].tobytes() * 2**14  # 1 MiB that the file holds once
    table = open_images(pool(write_pool(tmp_path / "a.parquet", [large] * 256), image_size=8, channels=1))
    assert table.source.size_bytes < 3 * 2**20
    arrays = RowReader(table.source, "image").stream(0, 256)
    sizes = [(len(array), array.nbytes) for array in arrays]
    assert sum(rows for rows, _ in sizes) == 256
    assert max(size for _, size in sizes) < 40 * 2**20


def test_a_path_of_several_images_names_them_all_and_a_pool_without_paths_none(tmp_path):
    encoded = [png(each) for each in noise(2)]
    (tmp_path / "with").mkdir()
    for name in ("a", "b"):
        write_pool(tmp_path / "with" / f"{name}.parquet", encoded)
    config = PoolConfig(path=str(tmp_path / "with"), cache=str(tmp_path / "cache"))
    assert open_images(config).rows_at({"1.png"}) == {"1.png": [1, 3]}
    pq.write_table(pa.table({"image": pa.array(encoded, pa.binary())}), tmp_path / "without.parquet")
    assert open_images(config.model_copy(update={"path": str(tmp_path / "without.parquet")})).rows_at({"1.png"}) == {}

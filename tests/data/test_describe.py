import pyarrow as pa
from data_pools import noise, png, write_pool

from distal.data.describe import describe
from distal.data.table import open_images


def test_a_description_says_what_was_read(tmp_path, pool):
    images = [png(each) for each in noise(20)]
    images[7] = b"broken"
    labels = pa.array([0, 1, None, 1] * 5)
    table = open_images(pool(write_pool(tmp_path / "a.parquet", images, labels), classes=["good", "bad"]))
    before = describe(table)
    assert (before.rows, before.files, before.classes, before.missing_labels) == (20, 1, {"good": 5, "bad": 10}, 5)
    assert before.first_images == {"8x8 PNG L": 15, "unreadable (is no image of a known format)": 1}
    assert before.decoded_rows == 0
    table.block(0)
    after = describe(table)
    assert (after.decoded_rows, [each.row_id for each in after.skipped]) == (20, [7])
    assert "row 7 7.png: is no image of a known format" in str(after)


def test_a_pool_without_labels_says_so(tmp_path, pool):
    table = open_images(pool(write_pool(tmp_path / "a.parquet", [png(each) for each in noise(3)])))
    assert "labels       none" in describe(table).lines()

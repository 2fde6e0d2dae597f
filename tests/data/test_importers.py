import gzip
import io
import os
import struct
import zipfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_pools import noise, png

from distal.data.digits import load_digits
from distal.data.importers import import_images
from distal.data.table import open_images
from distal.errors import PoolError, StorageError


def _idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def read_back(tmp_path, pool):
    def read(**fields):
        table = open_images(pool(tmp_path / "out.parquet", **fields))
        rows = np.arange(table.rows)
        return table, table.pixels(rows), table.labels(rows)

    return read


def _refused(tmp_path, match, source, kind=None, **options):
    with pytest.raises(PoolError, match=match) as caught:
        import_images(str(source), tmp_path / "out.parquet", kind, **options)
    assert str(caught.value).count("\n") <= 2
    assert not [path for path in tmp_path.iterdir() if "out.parquet" in path.name]


def test_a_folder_gives_classes_and_an_order_by_hash_of_the_path(tmp_path, read_back):
    for number, pixels in enumerate(noise(30)):
        folder = tmp_path / "in" / ("good" if number % 3 else "bad")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02d}.png").write_bytes(png(pixels))
    (tmp_path / "in" / "loose.png").write_bytes(png(noise(1)[0]))
    (tmp_path / "in" / "bad" / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "in" / "notes.txt").write_text("left alone")
    summary = import_images(str(tmp_path / "in"), tmp_path / "out.parquet")
    table, pixels, labels = read_back()
    names = [path for _, path in table.originals(np.arange(31))]
    assert (summary.rows, summary.counts, summary.missing_labels) == (31, {"bad": 10, "good": 20}, 1)
    assert summary.skipped == (("bad/broken.jpg", "is no image of a known format"),)
    assert table.classes == ("bad", "good")
    assert names != sorted(names)
    for name, found, label in zip(names, pixels[:, 0], labels, strict=True):
        expected = 0 if name == "loose.png" else int(name[-6:-4])
        assert np.array_equal(found, noise(1)[0] if name == "loose.png" else noise(30)[expected])
        assert label == (-1 if name == "loose.png" else int(expected % 3 > 0))


def test_a_folder_that_is_a_link_is_refused_and_not_passed_over(tmp_path):
    for name in ("in/cat", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "a.png").write_bytes(png(noise(1)[0]))
    (tmp_path / "in" / "dog").symlink_to(tmp_path / "elsewhere")
    _refused(tmp_path, "in/dog is a symbolic link to a folder", tmp_path / "in")


def test_what_is_no_regular_file_is_left_out_and_named(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "real").write_bytes(png(noise(1)[0]))
    (folder / "good.png").symlink_to(tmp_path / "real")
    (folder / "endless.png").symlink_to("/dev/null")
    os.mkfifo(folder / "pipe.png")
    summary = import_images(str(folder), tmp_path / "out.parquet")
    reasons = {path: reason for path, reason in summary.skipped}
    assert (summary.rows, reasons) == (1, dict.fromkeys(("endless.png", "pipe.png"), "is no regular file"))


def test_the_same_import_writes_the_same_bytes(tmp_path):
    for name in ("x.parquet", "y.parquet"):
        import_images("digits", tmp_path / name)
    assert (tmp_path / "x.parquet").read_bytes() == (tmp_path / "y.parquet").read_bytes()


def test_a_folder_of_shards_equals_one_file(tmp_path, pool, monkeypatch):
    monkeypatch.setattr("distal.data.writer._FILE_BYTES", 40_000)
    import_images("digits", tmp_path / "shards")
    files = sorted((tmp_path / "shards").iterdir())
    table = open_images(pool(tmp_path / "shards"))
    assert [path.name for path in files] == [f"part-{n:05d}.parquet" for n in range(len(files))]
    assert len(files) > 1
    assert sorted(table.pixels(np.arange(1797)).sum((1, 2, 3))) == sorted(load_digits()[0].sum((1, 2)))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("whole_folder", [False, True])
def test_idx_files_are_found_with_their_labels(tmp_path, read_back, zipped, whole_folder):
    folder = tmp_path / "in"
    folder.mkdir()
    suffix, pack = (".gz", gzip.compress) if zipped else ("", bytes)
    for start, count in (("train", 20), ("t10k", 5)):
        (folder / f"{start}-images-idx3-ubyte{suffix}").write_bytes(pack(_idx(noise(count))))
        (folder / f"{start}-labels-idx1-ubyte{suffix}").write_bytes(pack(_idx(np.arange(count, dtype=np.uint8) % 4)))
    source = folder if whole_folder else folder / f"train-images-idx3-ubyte{suffix}"
    import_images(str(source), tmp_path / "out.parquet")
    table, pixels, labels = read_back()
    assert np.array_equal(pixels[:, 0], noise(20))
    assert np.array_equal(labels, np.arange(20) % 4)
    assert table.classes == ("0", "1", "2", "3")


def test_damaged_idx_files_are_refused(tmp_path):
    path = tmp_path / "x-images-idx3-ubyte"
    path.write_bytes(_idx(noise(9))[:-1])
    _refused(tmp_path, "cut short", path)
    path.write_bytes(_idx(np.zeros(9, np.uint8)))
    _refused(tmp_path, "no idx file of 3 or 4 dimensions", path)
    path.write_bytes(gzip.compress(_idx(noise(9)))[:-30])
    _refused(tmp_path, "damaged|cut short", path)
    path.write_bytes(_idx(noise(9)))
    (tmp_path / "labels").write_bytes(_idx(np.zeros(8, np.uint8)))
    _refused(tmp_path, "8 labels for 9 images", path, labels=tmp_path / "labels")


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_gzip_file_whose_checksum_fails_or_that_goes_on_is_refused(tmp_path, part):
    whole = {"images-idx3": _idx(noise(9)), "labels-idx1": _idx(np.zeros(9, np.uint8))}
    names = {name: tmp_path / f"train-{name}-ubyte.gz" for name in whole}
    for damage, match in (("checksum", "is damaged"), ("surplus", "goes on after its last item")):
        for name, data in whole.items():
            zipped = bytearray(gzip.compress(data))
            if name.startswith(part):
                zipped = bytearray(gzip.compress(data + b"x")) if damage == "surplus" else zipped
                zipped[-8] ^= 255 if damage == "checksum" else 0
            names[name].write_bytes(zipped)
        _refused(tmp_path, match, names["images-idx3"])


@pytest.mark.parametrize("side", [0, 10**5, 2**32 - 1])
def test_idx_images_of_an_impossible_size_are_refused_by_the_header(tmp_path, side):
    path = tmp_path / "x-images-idx3-ubyte"
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 1, side, side) + bytes(9))
    _refused(tmp_path, f"declares images of {side} x {side} pixels", path)
    path.write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 1, 7000, 7000) + bytes(9))
    _refused(tmp_path, "cut short", path)


def test_bad_deflate_data_in_an_idx_file_is_refused(tmp_path):
    path = tmp_path / "x-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"")[:10] + b"\xff" * 40)
    _refused(tmp_path, "Cannot read", path)
    zipped = gzip.compress(_idx(noise(2000)))
    path.write_bytes(zipped[:60000] + b"\xff" * 9000 + zipped[69000:])
    _refused(tmp_path, "is damaged", path)


@pytest.mark.parametrize(("name", "head", "kind"), [("data_batch_1.bin", 1, "cifar10"), ("train.bin", 2, "cifar100")])
def test_cifar_batches_are_read_plane_by_plane(tmp_path, read_back, name, head, kind):
    planes = np.random.default_rng(0).integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    heads = np.tile(np.arange(6, dtype=np.uint8)[:, None], (1, head))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_bytes(np.hstack([heads, planes.reshape(6, -1)]).tobytes())
    summary = import_images(str(tmp_path / "in"), tmp_path / "out.parquet")
    table, pixels, labels = read_back()
    assert (summary.kind, table.channels) == (kind, 3)
    assert np.array_equal(pixels, planes)
    assert np.array_equal(labels, np.arange(6))
    assert len(table.classes) == (10 if head == 1 else 100)


def test_pickled_cifar_is_refused_unread(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data_batch_1").write_bytes(b"\x80\x02}q\x01.")
    _refused(tmp_path, "is a Python pickle, which can run any program", tmp_path / "in")


def test_a_cifar_batch_of_another_size_or_with_foreign_labels_is_refused(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(bytes(3072))
    _refused(tmp_path, "no whole batch of CIFAR-10", path)
    path.write_bytes(bytes([77]) + bytes(3072))
    _refused(tmp_path, "has the label 77", path)


def test_cifar_class_names_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3073))
    (tmp_path / "batches.meta.txt").write_bytes(b"\xff\xfe")
    _refused(tmp_path, "batches.meta.txt is no UTF-8 text", tmp_path / "data_batch_1.bin")


@pytest.mark.parametrize("layout", ["NHW", "NHWC", "NCHW", "float", "bool", "int64"])
def test_arrays_of_every_layout_are_read(tmp_path, read_back, layout):
    grey = noise(6)
    colour = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    array, expected = {
        "NHW": (grey, grey[:, None]),
        "NHWC": (colour, colour.transpose(0, 3, 1, 2)),
        "NCHW": (colour.transpose(0, 3, 1, 2).copy(), colour.transpose(0, 3, 1, 2)),
        "float": (grey.astype(np.float32) / 255, grey[:, None]),
        "bool": (grey > 99, np.where(grey > 99, 255, 0)[:, None]),
        "int64": (grey.astype(np.int64), grey[:, None]),
    }[layout]
    np.savez_compressed(tmp_path / "in.npz", X=array, y=np.array([0, 1, 2, -1, 1, 0]))
    import_images(str(tmp_path / "in.npz"), tmp_path / "out.parquet")
    table, pixels, labels = read_back()
    assert np.array_equal(pixels, expected)
    assert labels.tolist() == [0, 1, 2, -1, 1, 0]
    assert table.classes == ("0", "1", "2")


def test_rows_with_nan_are_left_out_and_named(tmp_path, read_back):
    array = noise(5).astype(np.float64) / 255
    array[1, 0, 0], array[3, 2, 2] = np.nan, np.inf
    np.save(tmp_path / "in.npy", array)
    np.save(tmp_path / "y.npy", np.array(["a", "b", "a", "b", "b"]))
    summary = import_images(str(tmp_path / "in.npy"), tmp_path / "out.parquet", labels=tmp_path / "y.npy")
    assert (summary.rows, summary.skipped_count, summary.counts) == (3, 2, {"a": 2, "b": 1})
    assert [path for path, _ in summary.skipped] == ["in/0000001.png", "in/0000003.png"]
    assert np.array_equal(read_back()[1][:, 0], noise(5)[[0, 2, 4]])


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"X": noise(4).astype(np.float32)}, r"Expected floats in \[0, 1\]"),
        ({"X": noise(4).astype(np.int32) - 200}, r"Expected integers in 0\.\.255"),
        ({"X": noise(4)[0]}, "Expected numbers of shape"),
        ({"X": np.array([{}, {}], dtype=object)}, "pickled: refused"),
        ({"X": noise(4), "y": np.eye(4)}, "turn one-hot rows into integers with argmax"),
        ({"X": noise(4), "y": np.arange(3)}, "for 4 images"),
        ({"X": noise(4), "y": np.array([0, -5, 1, 2])}, "range from -5 to 2"),
        ({"foo": noise(4), "bar": noise(4)}, r"no array of images under a known name \(it holds: foo, bar\)"),
        ({"X": noise(0)}, "it holds no image"),
        ({"X": np.full((2, 8, 8), np.nan)}, "No image was found"),
    ],
)
def test_arrays_that_hold_no_images_are_refused_and_leave_nothing(tmp_path, arrays, match):
    np.savez(tmp_path / "in.npz", **arrays)
    _refused(tmp_path, match, tmp_path / "in.npz")


def _npy(shape, dtype="|u1"):
    header = repr({"descr": dtype, "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()


@pytest.mark.parametrize(
    "shape",
    [(4, -1, 8), (-4, 8, 8), (1, 2**32, 2**32), (1, 10**6, 10**7), (1, 2**62, 4, 1)],
)
def test_arrays_of_an_impossible_shape_are_refused_by_the_header(tmp_path, shape):
    (tmp_path / "in.npy").write_bytes(_npy(shape) + bytes(64))
    _refused(tmp_path, "Expected", tmp_path / "in.npy")


def test_labels_of_an_impossible_width_are_refused_by_the_header(tmp_path):
    np.save(tmp_path / "in.npy", noise(1))
    (tmp_path / "y.npy").write_bytes(_npy((1,), "<U500000000") + bytes(64))
    _refused(tmp_path, "Expected one integer or string", tmp_path / "in.npy", labels=tmp_path / "y.npy")


@pytest.mark.parametrize(
    "header", ["{'descr': (((", "(" * 3000, "{'descr': 3, 'fortran_order': 0, 'shape': 7}", 'x = "', "(a)\n   b\n  c"]
)
def test_a_header_that_is_no_header_is_refused(tmp_path, header):
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    (tmp_path / "in.npy").write_bytes(start + header.encode() + bytes(64))
    _refused(tmp_path, "holds no readable numpy array", tmp_path / "in.npy")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("damage", ["content", "encrypted", "method", "suffix"])
def test_a_damaged_npz_is_refused_whatever_its_method(tmp_path, method, damage):
    with io.BytesIO() as buffer:
        np.save(buffer, noise(400))
        array = buffer.getvalue()
    path = tmp_path / "in.npz"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("X" if damage == "suffix" else "X.npy", array)
    data = bytearray(path.read_bytes())
    central = data.index(b"PK\x01\x02")
    if damage == "content":
        data[60:9000] = b"\xff" * 8940
    if damage == "encrypted":
        data[6] |= 1
        data[central + 8] |= 1
    if damage == "method":
        data[8], data[central + 10] = 77, 77
    path.write_bytes(data)
    _refused(tmp_path, "Write it|Expected|Save them as", path)


def test_sources_that_cannot_be_told_are_refused(tmp_path):
    (tmp_path / "x.zip").write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    _refused(tmp_path, "Unpack the archive first", tmp_path / "x.zip")
    _refused(tmp_path, "holds no image file", tmp_path / "empty")
    _refused(tmp_path, "No such file or folder", tmp_path / "gone")
    _refused(tmp_path, "did you mean 'folder'", tmp_path / "empty", kind="foldr")
    (tmp_path / "bad.npz").write_bytes(b"junk")
    _refused(tmp_path, "no readable .npz", tmp_path / "bad.npz")


def test_an_existing_pool_is_not_overwritten(tmp_path):
    (tmp_path / "out.parquet").write_bytes(b"precious")
    with pytest.raises(PoolError, match="exists"):
        import_images("digits", tmp_path / "out.parquet")
    assert (tmp_path / "out.parquet").read_bytes() == b"precious"


def test_a_disk_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(self, table):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(StorageError, match="nothing was left behind"):
        import_images("digits", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []

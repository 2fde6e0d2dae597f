"""Example images become a file of the run in the pool's own columns; what cannot be one is refused by name."""

from copy import deepcopy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_pools import noise, png, write_pool
from pyarrow.fs import LocalFileSystem

from distal.data.references import FILE, kept_references, read_references
from distal.data.table import open_images
from distal.errors import ConfigError, StorageError
from distal.run.directory import RunDirectory

IMAGES = noise(40)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.open(str(tmp_path), "run")


@pytest.fixture(params=["local", "object store"])
def any_run(run: RunDirectory, tmp_path: Path, request: pytest.FixtureRequest) -> RunDirectory:
    return run if request.param == "local" else RunDirectory.on(LocalFileSystem(), str(tmp_path), "stored")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two of `crack`, one of `dent`."""
    for place, image in (("crack/a.png", 30), ("crack/b.png", 31), ("dent/c.png", 32)):
        file = tmp_path / "examples" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(IMAGES[image]))
    return tmp_path / "examples"


def made(tmp_path: Path, pool, place: Path, run: RunDirectory, images: list[bytes], labels: pa.Array | None = None):
    config = pool(write_pool(tmp_path / "pool.parquet", images, labels, row_group_size=8))
    table = open_images(config)
    return table, read_references(str(place), config, table, run)


def test_references_lie_after_the_pools_first_rows_and_before_those_that_come_later(
    tmp_path: Path, pool, folder: Path, any_run: RunDirectory
) -> None:
    run = any_run
    labels = pa.array([row % 2 for row in range(20)], pa.int64())
    table, references = made(tmp_path, pool, folder, run, [png(image) for image in IMAGES[:20]], labels)
    assert (sorted(references.names), references.classes) == (["crack", "crack", "dent"], ("crack", "dent"))
    run.write(FILE, references.data)
    began = table.with_references(references.file, references.data)
    (tmp_path / "more").mkdir()
    write_pool(tmp_path / "more/a.parquet", [png(image) for image in IMAGES[20:30]], labels[:10])
    grown = open_images(
        pool([str(tmp_path / "pool.parquet"), str(tmp_path / "more")]), began.source.tables
    ).with_references(references.file, references.data)
    grown = deepcopy(grown)  # by its pickle, as it travels to the shards
    assert [(each.kind, each.first_row, each.rows) for each in grown.source.tables] == [
        ("pool", 0, 20),
        ("references", 20, 3),
        ("pool", 23, 10),
    ]
    assert grown.source.tables[:2] == began.source.tables
    assert (began.references, began.first_rows, began.rows, grown.rows) == (range(20, 23), 20, 23, 33)
    paths = [path for _, path in grown.originals(np.arange(20, 23))]
    order = [{"crack/a.png": 30, "crack/b.png": 31, "dent/c.png": 32}[path] for path in paths]
    shown = np.concatenate([IMAGES[:20], IMAGES[order], IMAGES[20:30]])
    assert np.array_equal(grown.pixels(np.arange(33))[:, 0], shown)
    assert np.array_equal(began.pixels(np.arange(23)[::-1].copy())[:, 0], shown[:23][::-1])
    assert grown.labels(np.arange(33)).tolist() == [*([0, 1] * 10), -1, -1, -1, *([0, 1] * 5)]
    assert not grown.held_out(np.arange(33), 1.0)[20:23].any()
    assert grown.held_out(np.arange(33), 1.0).sum() == 30


@pytest.mark.parametrize("kind", [pa.large_binary(), pa.binary()])
def test_a_pool_of_plain_bytes_and_names_gets_references_of_its_kind_from_parquet(
    tmp_path: Path, pool, run: RunDirectory, kind: pa.DataType
) -> None:
    file, examples = tmp_path / "pool.parquet", tmp_path / "examples.parquet"
    images = pa.array([png(image) for image in IMAGES[:6]], kind)
    pq.write_table(pa.table({"image": images, "label": pa.array(["x", "y"] * 3).dictionary_encode()}), file)
    write_pool(examples, [png(image) for image in IMAGES[6:9]], pa.array([2, 0, 2]))
    config = pool(file)
    references = read_references(str(examples), config, open_images(config), run)
    assert (references.names, references.classes) == (("2", "0", "2"), ("0", "1", "2"))
    run.write(FILE, references.data)
    table = open_images(config).with_references(references.file, references.data)
    assert np.array_equal(table.pixels(np.arange(9))[:, 0], IMAGES[:9])
    assert [path for _, path in table.originals(np.arange(5, 7))] == ["", ""]
    assert table.class_counts() == {"x": 3, "y": 3}
    kept = kept_references(run, table.source.tables)
    assert kept == references


def test_a_run_whose_tables_have_none_keeps_none_and_one_that_is_damaged_or_gone_is_named(
    tmp_path: Path, pool, folder: Path, run: RunDirectory
) -> None:
    table, references = made(tmp_path, pool, folder, run, [png(IMAGES[0])])
    assert kept_references(run, table.source.tables) is None
    tables = table.with_references(references.file, references.data).source.tables
    for damage in (None, b"", references.data[:100], write_pool(tmp_path / "other.parquet", [b""]).read_bytes()):
        if damage is not None:
            run.write(FILE, damage)
        with pytest.raises(StorageError, match=r"references\.parquet"):
            kept_references(run, tables)


def spoil(folder: Path, what: str) -> Path:
    if what == "unreadable":
        (folder / "dent/d.png").write_bytes(png(IMAGES[0])[:60])
        (folder / "dent/e.png").write_bytes(b"no image")
    elif what == "without a class":
        (folder / "f.png").write_bytes(png(IMAGES[0]))
    elif what == "twice":
        (folder / "dent/g.png").write_bytes(png(IMAGES[30]))
    elif what == "empty":
        return Path(str(folder) + "-none")
    elif what == "no images":
        for file in folder.rglob("*.png"):
            file.unlink()
    elif what == "null label":
        return write_pool(folder.parent / "p.parquet", [png(IMAGES[0])] * 2, pa.array(["crack", None]))
    elif what == "no labels":
        return write_pool(folder.parent / "p.parquet", [png(IMAGES[0])])
    return folder


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("unreadable", r"dent/[de]\.png (cannot be decoded|is no image).*\(and 1 more\)\nExpected a folder"),
        ("without a class", r"f\.png has no class\nExpected"),
        ("twice", r"(dent/g|crack/a)\.png is also (dent/g|crack/a)\.png, of another class\nExpected"),
        ("null label", r"1\.png has no class\nExpected"),
        ("no labels", r"no column 'label' of classes\nExpected"),
        ("no images", r"holds no image file"),
        ("empty", r"No such file or folder: .*examples-none\n.*Mend query\.references"),
    ],
)
def test_what_cannot_be_an_example_is_refused_by_name(
    tmp_path: Path, pool, folder: Path, run: RunDirectory, what: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)query\.references: .*{said}") as refused:
        made(tmp_path, pool, spoil(folder, what), run, [png(IMAGES[0])])
    assert len(str(refused.value).splitlines()) <= 3


def test_images_of_the_pool_among_the_references_are_counted(
    tmp_path: Path, pool, folder: Path, run: RunDirectory, caplog: pytest.LogCaptureFixture
) -> None:
    made(tmp_path, pool, folder, run, [png(IMAGES[row]) for row in (0, 31, 2, 32, 31)])
    assert caplog.messages == ["query.references: 3 of the pool's images are references too, byte for byte"]

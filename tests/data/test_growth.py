"""Files are known again wherever they lie, and rows keep their numbers when files arrive."""

from pathlib import Path

import numpy as np
import pytest
from data_pools import noise, png, write_pool

from distal.data.growth import FileFacts, Table, arrange
from distal.data.table import ImageTable, open_images
from distal.errors import ChangedPoolError


def facts(name: str, tail: str = "t", size: int = 9) -> FileFacts:
    return FileFacts(name, size, tail, 5)


def table(*files: FileFacts) -> Table:
    return Table("pool", 0, 1, "f", files)


def test_files_that_are_in_no_table_come_after_those_that_are() -> None:
    known = [table(facts("p/m")), table(facts("p/a"), facts("p/z"))]
    found = [facts("p/a"), facts("p/b"), facts("p/m"), facts("p/n"), facts("p/z")]
    assert arrange(found, known) == [[2], [0, 4], [1, 3]]


def test_files_are_known_by_content_in_another_folder_and_copies_by_their_place() -> None:
    assert arrange([facts("q/a"), facts("q/m")], [table(facts("p/m")), table(facts("p/a"))]) == [[1], [0]]
    assert arrange([facts("p/1/x"), facts("p/2/x")], [table(facts("p/2/x"))]) == [[1], [0]]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([facts("p/a")], "p/b is missing"),
        ([facts("p/a"), facts("p/b", size=8)], "p/b is not what it was"),
        ([facts("p/a"), facts("p/b", tail="u")], "p/b is not what it was"),
        ([facts("p/b", tail="u")], r"p/b is not what it was \(and 1 more files\)"),
    ],
)
def test_a_file_that_is_gone_or_another_is_refused_by_name(found: list[FileFacts], said: str) -> None:
    with pytest.raises(ChangedPoolError, match=f"{said}.*\nRestore the files"):
        arrange(found, [table(facts("p/a"), facts("p/b"))])


@pytest.fixture
def grown(tmp_path: Path, pool, monkeypatch) -> tuple[np.ndarray, ImageTable, ImageTable]:
    """Return images in the order of their rows, and the table before and after a file arrived that sorts first."""
    monkeypatch.setattr("distal.data.cache._CHUNK_ROWS", 32)
    images = noise(130)
    write_pool(tmp_path / "m.parquet", [png(each) for each in images[:75]], row_group_size=20)
    before = open_images(pool())
    before.skipped(0, before.blocks)  # which decodes it
    write_pool(tmp_path / "a.parquet", [png(each) for each in images[75:]], row_group_size=20)
    return images, before, open_images(pool(), before.source.tables)


def test_rows_keep_their_images_when_a_file_arrives_that_sorts_before_theirs(grown) -> None:
    images, before, after = grown
    assert (before.rows, after.rows, after.first_rows) == (75, 130, 75)
    assert after.fingerprint == before.fingerprint
    assert [(each.first_row, each.rows) for each in after.source.tables] == [(0, 75), (75, 55)]
    assert np.array_equal(after.pixels(np.arange(130))[:, 0], images)
    assert np.array_equal(np.concatenate([after.block(b) for b in range(after.blocks)])[:, 0], images)
    assert after.originals(np.array([75]))[0][0] == png(images[75])


def test_a_pool_that_grew_decodes_what_is_new_and_the_chunk_that_was_not_full(grown, tmp_path: Path) -> None:
    images, before, after = grown
    first = set(tmp_path.glob("cache/decoded/*/chunk-*"))
    assert after.skipped_so_far() == (64, [])
    after.skipped(0, after.blocks)
    new = {path.name for path in set(tmp_path.glob("cache/decoded/*/chunk-*")) - first}
    assert new == {f"chunk-{number:06d}.u8" for number in (2, 3, 4)}
    assert np.array_equal(before.pixels(np.arange(75))[:, 0], images[:75])

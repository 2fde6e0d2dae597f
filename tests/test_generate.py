"""Generated images go where one says: a grid, a pool or a folder by class, local or on a store."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from PIL import Image

from distal.cli import generate
from distal.cli.generate import Origin, write_chosen
from distal.data.importers import import_images
from distal.driver.choosing import Chosen
from distal.errors import ConfigError, StorageError

CLASSES = ("cat", "../dog", ".hidden/löwe")


def write(target: str, classes: tuple[int, ...] = (0, 1, 2)) -> int:
    labels = np.repeat(classes, 2)
    images = np.repeat(labels.astype(np.uint8), 64).reshape(-1, 1, 8, 8) * 80
    unknown = np.full(len(labels), np.nan)
    write_chosen(
        Chosen(images, labels, np.arange(len(labels)), unknown, unknown),
        Origin("runs/a", 3, 7, "drawn", CLASSES),
        target,
    )
    return len(labels)


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_gets_an_image_each_by_class_that_is_imported_again(there: bool, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    if there:
        out.mkdir(parents=True)
    assert write(f"{out}{'' if there else '/'}") == 6
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png"))
    assert [name.rpartition("/")[0] for name in found[::2]] == [
        "new/out/%2E.%2Fdog",
        "new/out/%2Ehidden%2Flöwe",
        "new/out/cat",
    ]
    assert found[-1] == "new/out/cat/round-0003-seed-7-0000001.png"
    with Image.open(tmp_path / found[0]) as image:
        assert np.asarray(image).tolist() == np.full((8, 8), 80).tolist()
    assert "6 images" in str(import_images(str(out), str(tmp_path / "again.parquet"), None))


def test_a_uri_is_written_through_pyarrow_and_makes_no_local_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = pyarrow.fs._MockFileSystem()
    opened: list[str] = []

    def from_uri(uri: str) -> Any:
        opened.append(uri)
        return store, "bucket/x"

    monkeypatch.setattr(generate.pyarrow.fs, "FileSystem", SimpleNamespace(from_uri=from_uri))
    write("s3://key:secret@bucket/x/all.parquet?region=eu")
    write("s3://bucket/x/grid.png")
    write("s3://bucket/x/?region=eu")
    assert opened[0].startswith("s3://key:secret@bucket/x?region=eu")
    assert pq.read_table(store.open_input_file("bucket/x/all.parquet"))["label"].to_pylist() == [0, 0, 1, 1, 2, 2]
    assert store.get_file_info("bucket/x/grid.png").size > 0
    assert store.get_file_info("bucket/x/cat/round-0003-seed-7-0000000.png").size > 0
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither \.png nor \.parquet nor /"):
        write(str(tmp_path / "a.jpg"))
    with pytest.raises(StorageError, match=r"cannot write to ftp://host/x: (.|\n)*pyarrow") as refused:
        write("ftp://me:secret@host/x/a.png")
    assert "secret" not in str(refused.value)
    (tmp_path / "taken").write_text("")
    with pytest.raises(StorageError, match="Give another --out"):
        write(str(tmp_path / "taken" / "a.png"))

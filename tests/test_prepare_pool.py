"""`distal data prepare`, and a run over what it made: the same bytes as a run that makes everything itself."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from round_case import Run, contents

from distal.cli import main
from distal.config import Config
from distal.data import cache
from distal.data.digits import CLASSES, digit_images
from distal.data.prepared import PreparedFolder
from distal.data.table import open_images
from distal.data.writer import PoolWriter
from distal.driver.preparing import Wanted, prepare_pool
from distal.driver.preparing_tasks import StretchMaker
from distal.errors import ClusterError, ConfigError, StorageError
from distal.resolve import read_config


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    with PoolWriter(tmp_path / "pool.parquet", CLASSES) as writer:
        for data, path, _ in digit_images()[:150]:
            writer.add(data, path, None)
    return tmp_path / "pool.parquet"


def label(item: Any) -> int:
    return int(item.row_id % 3)


def test_a_run_over_a_prepared_pool_decodes_nothing_and_writes_the_same_bytes(
    small_config: Callable[..., Config], pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, told = str(tmp_path / "prepared"), list[tuple[int, int]]()
    quick = {"evaluate": {"extractor": "pixels"}, "oracle": {"kind": "callable"}}  # no judge is trained
    first = small_config(pool={"path": str(pool), "cache": str(tmp_path / "maker")}, **quick)
    said = str(prepare_pool(first, out, tell=lambda done, total: told.append((done, total))))
    assert said.startswith("150 rows at 8 x 8, grey, and their features by pixels, lie in ")
    assert told == [(0, 150), (150, 150)]
    making = Run(first, label)
    making.go()
    expected = contents(making.folder)

    monkeypatch.delattr(cache, "decode")
    monkeypatch.setattr("distal.features.rows.EmbeddedRows._made", lambda *arguments: pytest.fail("embeds again"))
    own: dict[str, Any] = {"path": str(pool), "cache": str(tmp_path / "other"), "prepared": out}
    fetching = Run(small_config(name=f"{first.name}-fetching", pool=own, **quick), label)
    fetching.go()
    assert contents(fetching.folder) == expected


def test_the_command_says_what_it_made_and_then_that_nothing_was_missing(
    pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "prepare", str(pool), "--out", str(tmp_path / "out"), f"pool.cache={tmp_path / 'cache'}"]
    assert main([*command, "classifier=head"]) == 0
    assert "150 rows at 8 x 8, grey, lie in" in capsys.readouterr().out
    assert main([*command, "classifier=head"]) == 0
    assert "nothing was missing" in capsys.readouterr().out
    assert main([*command, "--verify"]) == 0
    assert "1 files made" in capsys.readouterr().out  # the features


def test_a_network_that_learns_from_the_pool_is_refused_in_words(pool: Path, tmp_path: Path) -> None:
    keys = [f"pool.path={pool}", f"pool.cache={tmp_path}", "features.network=autoencoder", "pool.image_size=16"]
    with pytest.raises(ConfigError, match=r"learns from the pool in a run.*\n.*classifier=head"):
        prepare_pool(read_config(None, keys), str(tmp_path / "out"))


def test_who_makes_stretches_in_another_folder_is_refused_by_its_first_stretch(
    small_config: Callable[..., Config], pool: Path, tmp_path: Path
) -> None:
    images = open_images(small_config(pool={"path": str(pool)}).pool)
    with PreparedFolder(str(tmp_path / "shared")).written(), PreparedFolder(str(tmp_path / "other")).written():
        mark = PreparedFolder(str(tmp_path / "shared")).mark()
        assert mark
        same = Wanted(images, None, str(tmp_path / "shared"), False, mark)
        batch = {"first": np.array([0]), "last": np.array([1])}
        assert StretchMaker(same, "", "cpu")(batch)["files"] == [1]
        maker = StretchMaker(replace(same, out=str(tmp_path / "other")), "", "cpu")
        with pytest.raises(StorageError, match=r"other on .*, where the pool is prepared, is not the folder"):
            maker(batch)
        with pytest.raises(ClusterError, match="do not compute alike"):
            StretchMaker(same, "another network", "cpu")(batch)
    assert PreparedFolder(str(tmp_path / "never")).mark() == b""

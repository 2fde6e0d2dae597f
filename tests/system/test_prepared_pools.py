"""A pool is prepared by Ray Data as by one process, to a folder as to S3, and runs fetch it from there."""

from pathlib import Path

import numpy as np
import pytest
from buckets import S3Server
from small_pools import images, write_pool

from distal.config import PoolConfig
from distal.data import cache
from distal.data.prepared import PreparedFolder
from distal.data.table import open_images
from distal.driver.preparing import Prepared, prepare_pool
from distal.errors import StorageError
from distal.resolve import read_config

pytestmark = pytest.mark.system

ROWS = 2100


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two chunks of images, whose features are their pixels."""
    return write_pool(tmp_path_factory.mktemp("prepared") / "pool.parquet", images(ROWS))


def prepared(pool: Path, out: str, shards: int) -> Prepared:
    keys = ["pool.image_size=8", "pool.channels=1", f"pool.cache={pool.parent / 'cache'}", f"pool.shards={shards}"]
    return prepare_pool(read_config(None, [f"pool.path={pool}", *keys]), out)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.suffix}


def test_ray_data_makes_the_files_that_one_process_makes(pool: Path, local_ray: None) -> None:
    here, there = pool.parent / "here", pool.parent / "there"
    assert (prepared(pool, str(here), 0).files, prepared(pool, str(there), 1).files) == (7, 7)
    assert files(here) == files(there)
    assert prepared(pool, str(there), 1).files == 0


def test_a_folder_that_is_another_on_a_node_is_refused_in_words(
    pool: Path, local_ray: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreparedFolder, "mark", lambda folder: b"of another machine")  # in this process alone
    with pytest.raises(StorageError, match=r"--out: .*elsewhere on .* is not the folder .*\n.*s3://bucket/prepared"):
        prepared(pool, str(pool.parent / "elsewhere"), 1)


def test_a_pool_that_is_prepared_on_s3_is_not_decoded_again(
    pool: Path, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"s3://{s3.bucket()}/prepared"
    assert prepared(pool, place, 0).files == 7
    assert prepared(pool, place, 0).files == 0
    own = {"path": str(pool), "image_size": 8, "channels": 1}
    expected = open_images(PoolConfig(cache=str(tmp_path / "a"), **own)).pixels(np.arange(ROWS))
    monkeypatch.delattr(cache, "decode")
    fetching = open_images(PoolConfig(cache=str(tmp_path / "b"), prepared=place, **own))
    assert np.array_equal(fetching.pixels(np.arange(ROWS)), expected)

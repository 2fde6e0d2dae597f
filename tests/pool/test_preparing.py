"""A pool is prepared once, wherever that was broken off; runs fetch what fits, and notice what is damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from data_pools import noise, png, write_pool

from distal.config import PoolConfig
from distal.data.prepared import PreparedFolder
from distal.data.table import ImageTable, open_images
from distal.errors import ConfigError, RunLockedError
from distal.features.network import FeatureNetwork
from distal.features.rows import EmbeddedRows
from distal.pool.prepared import prepared_facts
from distal.pool.preparing import Preparing, Stretch

CPU = torch.device("cpu")
ROWS = 100


class Counting:
    """Be a network of two features that counts the images it has seen."""

    def __init__(self, hash: str = "one") -> None:
        self.seen = 0
        self.network = FeatureNetwork("counting", hash, 2, 12, 1, self.features)

    def __call__(self, device: torch.device) -> FeatureNetwork:
        return self.network

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        pixels = images.float().flatten(1)
        return torch.stack([pixels.mean(1), pixels.amax(1)], 1)


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make chunks and pieces small, and note each image that is decoded."""
    monkeypatch.setattr("distal.features.rows.PIECE_ROWS", 16)
    monkeypatch.setattr("distal.data.cache._CHUNK_ROWS", 32)
    monkeypatch.setattr("distal.pool.preparing.STRETCH_CHUNKS", 2)
    calls: list[int] = []
    from distal.data import cache

    real = cache.decode
    monkeypatch.setattr(cache, "decode", lambda data, spec: (calls.append(spec.image_size), real(data, spec))[1])
    return calls


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pool(tmp_path / "m.parquet", [*(png(each) for each in noise(ROWS - 1)), b"no image"], row_group_size=20)
    return tmp_path


def table(folder: Path, cache: str, prepared: str | None = "prepared", **fields: Any) -> ImageTable:
    place = None if prepared is None else str(folder / prepared)
    own = {"image_size": 8, "channels": 1, "block_rows": 16, "cache": str(folder / cache), "prepared": place, **fields}
    return open_images(PoolConfig(path=str(folder / "m.parquet"), **own))


def preparing(folder: Path, verify: bool = False, network: FeatureNetwork | None = None) -> Preparing:
    network = network or Counting().network
    images = table(folder, "maker", prepared=None)
    return Preparing(images, network, PreparedFolder(str(folder / "prepared")), CPU, verify)


def prepare(folder: Path, verify: bool = False) -> int:
    """Prepare what is missing; return how many files were made."""
    work = preparing(folder, verify)
    work.begin()
    return sum(work.make(stretch).files for stretch in work.missing())


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "prepared").rglob("*.*")) if path.is_file()}


def test_a_run_fetches_what_was_prepared_and_has_the_bytes_of_one_that_makes_it(
    folder: Path, decoded: list[int]
) -> None:
    assert prepare(folder) == 4 + 7
    assert not list((folder / "maker").glob("preparing-*"))
    decoded.clear()
    fetching, making = table(folder, "one"), table(folder, "two", prepared=None)
    counting = Counting()
    assert np.array_equal(
        EmbeddedRows(fetching, counting.network).between(0, ROWS),
        EmbeddedRows(making, Counting().network).between(0, ROWS),
    )
    decoded.clear()
    assert fetching.skipped(0, fetching.blocks)[0].row_id == ROWS - 1
    assert (decoded, counting.seen) == ([], 0)
    assert np.array_equal(fetching.pixels(np.arange(ROWS)), making.pixels(np.arange(ROWS)))
    made, fetched = ((folder / name / "decoded").rglob("*.u8") for name in ("two", "one"))
    assert [path.read_bytes() for path in sorted(made)] == [path.read_bytes() for path in sorted(fetched)]


def test_what_was_made_before_a_kill_is_not_made_again(folder: Path, decoded: list[int]) -> None:
    work = preparing(folder)
    assert work.missing() == [Stretch(0, 2), Stretch(2, 4)]
    work.begin()
    work.make(Stretch(0, 2))
    assert preparing(folder).missing() == [Stretch(2, 4)]
    decoded.clear()
    assert prepare(folder) == 2 + 3
    assert len(decoded) == 2 * (ROWS - 64)  # at the pool's size and at the network's
    assert prepare(folder) == 0


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_file_is_made_by_the_run_itself_and_mended_where_asked(
    folder: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    prepare(folder)
    whole = files(folder)
    for path in (folder / "prepared").rglob("*0[01].*"):
        data = bytearray(path.read_bytes())
        data[5] ^= 1
        path.write_bytes({"cut": data[:-30], "flipped": data, "empty": b""}[damage])
    assert files(folder) != whole
    fetching, making = table(folder, "one"), table(folder, "two", prepared=None)
    assert np.array_equal(fetching.pixels(np.arange(ROWS)), making.pixels(np.arange(ROWS)))
    assert "chunk-000001.u8 is damaged" in caplog.text
    assert prepare(folder) == 0  # it is there, and is not read
    prepare(folder, verify=True)
    assert files(folder) == whole


def test_what_fits_is_said_and_what_does_not_fit_is_said_in_words(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepare(folder)
    caplog.clear()
    assert prepared_facts(table(folder, "one", prepared=None), Counting()) == {}
    assert prepared_facts(table(folder, "one"), Counting()) == {"prepared": "pixels of all rows, features of all rows"}
    assert not caplog.text
    facts = prepared_facts(table(folder, "one", image_size=16), Counting("two"))
    assert facts == {"prepared": "nothing that fits"}
    assert "pool.image_size 8 there, 16 here" in caplog.text
    assert "its weights and arithmetic one there, two here" in caplog.text
    next((folder / "prepared").rglob("chunk-000000.u8")).unlink()
    assert prepared_facts(table(folder, "one"), None) == {"prepared": "pixels of 75.0% of the rows"}
    caplog.clear()
    prepared_facts(table(folder, "one", prepared="empty"), None)
    assert "no pixels lie there" in caplog.text


def test_pieces_of_other_blocks_are_left_aside_and_can_be_prepared_beside_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(folder)
    monkeypatch.setattr("distal.features.rows.PIECE_ROWS", 32)  # as other blocks of the same chunks would have it
    counting = Counting()
    features = EmbeddedRows(table(folder, "one"), counting.network).between(0, ROWS)
    assert counting.seen == ROWS
    assert np.array_equal(
        features, EmbeddedRows(table(folder, "two", prepared=None), Counting().network).between(0, ROWS)
    )
    prepare(folder)
    found = Counting()
    assert np.array_equal(EmbeddedRows(table(folder, "three"), found.network).between(0, ROWS), features)
    assert found.seen == 0


def test_only_one_process_writes_to_a_local_folder(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = PreparedFolder(str(folder / "prepared"))
    with target.written(), pytest.raises(RunLockedError, match="lock: prepare"), target.written():
        pass
    with pytest.raises(ConfigError, match=r"--out: .* can be no folder"):
        PreparedFolder(str(folder / "a b"), "--out")


def test_a_run_whose_pool_grew_still_fetches_what_was_prepared_before(folder: Path, decoded: list[int]) -> None:
    prepare(folder)
    first = table(folder, "one")
    write_pool(folder / "a.parquet", [png(each) for each in noise(60, seed=1)])
    own = {"image_size": 8, "channels": 1, "block_rows": 16, "prepared": str(folder / "prepared")}
    grown = open_images(PoolConfig(path=str(folder), cache=str(folder / "two"), **own), first.source.tables)
    decoded.clear()
    grown.pixels(np.arange(grown.rows))
    assert (grown.rows, len(decoded)) == (ROWS + 60, 60 + ROWS - 96)  # the new ones and the chunk that was not full
    counting = Counting()
    EmbeddedRows(grown, counting.network).embed(0, grown.rows)
    assert counting.seen == 60 + ROWS - 96
    assert prepared_facts(grown, None) == {"prepared": "pixels of 60.0% of the rows"}

"""Features are computed once a machine, in pieces that do not depend on who asks, and a killed writer's piece again."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_pools import noise, png, write_pool

from distal.config import PoolConfig
from distal.data.table import ImageTable, open_images
from distal.errors import EvaluationError, StorageError
from distal.features import rows as rows_module
from distal.features.network import FeatureNetwork
from distal.features.rows import EmbeddedRows


class Counting:
    """Be a network of two features, mean and maximum of an image, that counts the images it has seen."""

    def __init__(self, size: int | None = None, hash: str = "one") -> None:
        self.seen = 0
        self.sides: set[int] = set()
        self.network = FeatureNetwork("counting", hash, 2, size, None, self.features)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        self.sides.add(images.shape[-1])
        pixels = images.float().flatten(1)
        return torch.stack([pixels.mean(1), pixels.amax(1)], 1)


def open_pool(folder: Path, images: np.ndarray, known: ImageTable | None = None, name: str = "m.parquet") -> ImageTable:
    write_pool(folder / name, [png(each) for each in images], row_group_size=20)
    config = PoolConfig(path=str(folder), cache=str(folder / "cache"), block_rows=16, image_size=8, channels=1)
    return open_images(config, known.source.tables if known else ())


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "PIECE_ROWS", 32)
    monkeypatch.setattr("distal.data.cache._CHUNK_ROWS", 32)


def expected(table: ImageTable) -> np.ndarray:
    pixels = table.pixels(np.arange(table.rows)).astype(np.float32).reshape(table.rows, -1)
    return np.stack([pixels.mean(1), pixels.max(1)], 1).astype(np.float16)


def test_rows_have_their_features_whoever_asks_and_are_computed_once(tmp_path: Path) -> None:
    table = open_pool(tmp_path, noise(100))
    counting = Counting()
    first, second = EmbeddedRows(table, counting.network), EmbeddedRows(table, counting.network)
    assert np.array_equal(first.between(48, 100), expected(table)[48:])
    asked = np.array([99, 3, 3, 50])
    assert np.array_equal(second.take(asked), expected(table)[asked])
    assert np.array_equal(second.between(0, 100), expected(table))
    assert counting.seen == 100
    assert EmbeddedRows(table, Counting(hash="another").network).missing(0, 100) == 100


def test_a_network_sees_the_originals_at_its_own_size(tmp_path: Path) -> None:
    table = open_pool(tmp_path, noise(20, side=12))
    counting = Counting(size=12)
    features = EmbeddedRows(table, counting.network).between(0, 20)
    assert counting.sides == {12}
    assert np.array_equal(features, expected(table.at(12, 1)))


def test_what_time_does_not_allow_is_left_and_counted(tmp_path: Path) -> None:
    rows = EmbeddedRows(open_pool(tmp_path, noise(100)), Counting().network)
    assert rows.embed(10, 90, seconds=0.0) == 0
    rows.take(np.array([33]))
    assert (rows.embed(10, 90, seconds=0.0), rows.missing(10, 90)) == (32, 48)
    assert rows.embed(10, 90) == 80


def test_a_piece_whose_writer_was_killed_is_computed_again(tmp_path: Path) -> None:
    table, counting = open_pool(tmp_path, noise(60)), Counting()
    EmbeddedRows(table, counting.network).embed(0, 60)
    [mark] = tmp_path.glob("cache/features/*/done/00000032")
    mark.unlink()
    assert np.array_equal(EmbeddedRows(table, counting.network).between(0, 60), expected(table))
    assert counting.seen == 60 + 28


def test_rows_that_arrive_later_are_computed_alone(tmp_path: Path) -> None:
    images, counting = noise(150), Counting()
    before = open_pool(tmp_path, images[:70])
    EmbeddedRows(before, counting.network).embed(0, 70)
    after = open_pool(tmp_path, images[70:], before, "n.parquet")
    assert np.array_equal(EmbeddedRows(after, counting.network).between(0, 150), expected(after))
    assert counting.seen == 70 + 86  # the piece that was not full is computed with its new rows


def test_a_full_disk_ends_it_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    table = open_pool(tmp_path, noise(20))
    table.skipped(0, table.blocks)
    monkeypatch.setattr(rows_module.os, "pwrite", full)
    with pytest.raises(StorageError, match="is full"):
        EmbeddedRows(table, Counting().network).embed(0, 20)


def test_features_beyond_the_half_precision_are_held_at_its_largest(tmp_path: Path) -> None:
    table = open_pool(tmp_path, noise(16))
    huge = FeatureNetwork("huge", "h", 1, None, None, lambda images: torch.full((len(images), 1), 1e9))
    assert np.isfinite(EmbeddedRows(table, huge).between(0, 16)).all()


@pytest.mark.parametrize("harm", ["cut short", "a hole", "a flipped bit", "emptied", "deleted", "an empty mark"])
def test_a_piece_that_is_not_what_was_written_is_computed_again(tmp_path: Path, harm: str) -> None:
    table = open_pool(tmp_path, noise(60))
    EmbeddedRows(table, Counting().network).embed(0, 60)
    [file] = tmp_path.glob("cache/features/*/features.f16")
    whole = file.read_bytes()
    if harm == "an empty mark":
        (file.parent / "done/00000000").write_bytes(b"")
    elif harm == "deleted":
        file.unlink()
    else:
        bit = bytes([whole[0] ^ 1]) + whole[1:]
        hole = bytes(40) + whole[40:]
        file.write_bytes({"cut short": whole[:50], "a hole": hole, "a flipped bit": bit, "emptied": b""}[harm])
    counting = Counting()
    assert np.array_equal(EmbeddedRows(table, counting.network).between(0, 60), expected(table))
    assert counting.seen == (60 if harm in ("cut short", "emptied", "deleted") else 32)


def test_a_network_that_gives_no_number_is_refused_by_name(tmp_path: Path) -> None:
    table = open_pool(tmp_path, noise(20))
    broken = FeatureNetwork("broken", "h", 1, None, None, lambda images: torch.full((len(images), 1), torch.nan))
    with pytest.raises(EvaluationError, match=r"broken gives what is no number .* rows 0 to 19"):
        EmbeddedRows(table, broken).embed(0, 20)

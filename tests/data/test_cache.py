import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from data_pools import noise, png, write_pool

from distal.config import PoolConfig
from distal.data import cache as cache_module
from distal.data.cache import cache_folder
from distal.data.chunks import Skipped
from distal.data.table import open_images
from distal.errors import ConfigError, StorageError


def _chunk_files(config: PoolConfig) -> list[Path]:
    return sorted(Path(str(config.cache)).glob("decoded/*/chunk-*.u8"))


@pytest.fixture
def config(tmp_path, pool, monkeypatch):
    monkeypatch.setattr(cache_module, "_CHUNK_ROWS", 32)
    write_pool(tmp_path / "a.parquet", [png(each) for each in noise(100)])
    return pool()


@pytest.fixture
def decode_calls(monkeypatch):
    calls = []
    real = cache_module.decode
    monkeypatch.setattr(cache_module, "decode", lambda data, spec: (calls.append(1), real(data, spec))[1])
    return calls


def test_each_image_is_decoded_once_and_only_when_asked_for(config, decode_calls):
    table = open_images(config)
    table.block(0)
    assert len(decode_calls) == 32
    table.pixels(np.arange(100))
    assert len(decode_calls) == 100
    open_images(config).pixels(np.arange(100))
    assert len(decode_calls) == 100


def test_other_decode_parameters_have_their_own_cache(config, decode_calls):
    open_images(config).block(0)
    other = open_images(config.model_copy(update={"image_size": 16})).block(0)
    assert other.shape == (16, 1, 16, 16)
    assert len(decode_calls) == 64


@pytest.mark.parametrize("damage", ["cut", "empty", "grown", "tail"])
def test_a_damaged_cache_file_is_rebuilt(config, damage):
    expected = np.array(open_images(config).block(0))
    path = _chunk_files(config)[0]
    data = path.read_bytes()
    changed = {"cut": data[:500], "empty": b"", "grown": data + b"x", "tail": data[:-28] + bytes(28)}[damage]
    path.write_bytes(changed)
    assert np.array_equal(open_images(config).block(0), expected)
    assert path.read_bytes() == data


def test_maps_cannot_be_written_through(config):
    with pytest.raises(ValueError, match="read-only"):
        open_images(config).block(0)[...] = 0


def test_unreadable_images_are_zero_listed_logged_and_kept_listed(tmp_path, pool, caplog):
    images = [png(each) for each in noise(40)]
    images[3], images[20], images[37] = images[3][:70], b"nonsense", None
    config = pool(write_pool(tmp_path / "a.parquet", images))
    with caplog.at_level(logging.WARNING):
        table = open_images(config)
        skipped = table.skipped(0, table.blocks)
    assert [(each.row_id, each.path) for each in skipped] == [(3, "3.png"), (20, "20.png"), (37, "37.png")]
    assert "3 images cannot be decoded" in caplog.text
    assert table.pixels(np.array([3, 20, 37])).max() == 0
    assert open_images(config).skipped(0, table.blocks) == skipped
    assert open_images(config).skipped(1, 2) == [skipped[1]] == [Skipped(20, "20.png", skipped[1].reason)]
    assert table.skipped_so_far() == (40, skipped)


def _decode_all(config, barrier, queue):
    calls = []
    real = cache_module.decode

    def counting(data, spec):
        calls.append(1)
        time.sleep(0.002)
        return real(data, spec)

    cache_module.decode = counting
    table = open_images(config)
    barrier.wait()
    digest = int(table.pixels(np.arange(table.rows)).astype(np.int64).sum())
    queue.put((len(calls), digest))


def test_two_processes_decode_a_chunk_once_between_them(tmp_path, pool):
    images = noise(100)
    config = pool(write_pool(tmp_path / "a.parquet", [png(each) for each in images]))
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    workers = [context.Process(target=_decode_all, args=(config, barrier, queue)) for _ in range(2)]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert sum(calls for calls, _ in answers) == 100
    assert {digest for _, digest in answers} == {int(images.astype(np.int64).sum())}


def _decode_slowly(config):
    real = cache_module.decode
    cache_module.decode = lambda data, spec: (time.sleep(0.05), real(data, spec))[1]
    open_images(config).block(0)


def test_a_decoder_killed_in_the_middle_leaves_nothing_wrong(tmp_path, pool):
    images = noise(600)
    config = pool(write_pool(tmp_path / "a.parquet", [png(each) for each in images]))
    worker = multiprocessing.get_context("spawn").Process(target=_decode_slowly, args=(config,))
    worker.start()
    deadline = time.monotonic() + 60
    while not list(Path(str(config.cache)).glob("decoded/*/*.tmp")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    assert _chunk_files(config) == []
    assert np.array_equal(open_images(config).pixels(np.arange(600))[:, 0], images)


def test_a_full_disk_is_reported_with_the_figure_and_leaves_no_chunk(config, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    table = open_images(config)
    with monkeypatch.context() as patch:
        patch.setattr("distal.data.chunks.os.fsync", full)
        with pytest.raises(StorageError, match=r"is full: 0 MB are needed for all decoded images, [\d,]+ MB are free"):
            table.block(0)
    assert _chunk_files(config) == []
    assert table.block(0).shape == (16, 1, 8, 8)


def test_a_cache_on_an_object_store_is_refused():
    with pytest.raises(ConfigError, match="expected a local folder, found a s3:// URI"):
        cache_folder("s3://bucket/cache")


def test_an_unwritable_cache_folder_is_reported(tmp_path, config):
    (tmp_path / "file").write_text("in the way")
    table = open_images(config.model_copy(update={"cache": str(tmp_path / "file")}))
    with pytest.raises(StorageError, match=r"Set pool\.cache to a local folder"):
        table.block(0)


def test_the_cache_lies_where_the_user_keeps_caches(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / "distal"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder(None) == Path.home() / ".cache" / "distal"
    assert cache_folder("~/x") == Path.home() / "x"


def test_pixels_that_change_in_place_under_the_same_fingerprint_are_decoded_anew(tmp_path, pool):
    images = np.random.default_rng(0).integers(0, 256, (40, 64, 64), dtype=np.uint8)
    path = write_pool(tmp_path / "a.parquet", [png(each) for each in images], compression="NONE")
    before = open_images(pool(path, image_size=64))
    before.pixels(np.arange(40))
    data, first, second = path.read_bytes(), png(images[0]), png(255 - images[0])
    assert len(first) == len(second)
    assert data.count(first) == 1
    path.write_bytes(data.replace(first, second))
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))
    after = open_images(pool(path, image_size=64))
    assert after.fingerprint == before.fingerprint
    assert np.array_equal(after.pixels(np.array([0]))[0, 0], 255 - images[0])


def test_new_folders_of_the_cache_are_for_their_user_alone(tmp_path, config):
    (tmp_path / "shared").mkdir(mode=0o755)
    cache = tmp_path / "shared" / "deep" / "cache"
    open_images(config.model_copy(update={"cache": str(cache)})).block(0)
    made = [cache.parent, cache, cache / "decoded", *(cache / "decoded").iterdir()]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 4
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o755

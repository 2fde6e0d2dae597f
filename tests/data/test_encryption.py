"""Encrypted pools, held-out images and references: readable with the key of the environment, which is in no file."""

import logging
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from data_pools import noise, png, write_pool
from round_case import Run

from distal.config import Config, PoolConfig
from distal.data.digits import CLASSES, digit_images
from distal.data.encryption import KEYS, keys
from distal.data.references import FILE
from distal.data.table import open_images
from distal.data.writer import PoolWriter
from distal.driver.preparation import Preparation
from distal.errors import PoolError
from distal.run.directory import RunDirectory

KEY, OTHER = bytes(range(60, 92)), bytes(range(16))


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv(KEYS, KEY.hex())
    return KEY


def written(path: Path, images: list[Any], classes: tuple[str, ...] | None, encrypt: bool = True) -> str:
    with PoolWriter(path, classes, encrypt) as writer:
        for data, name, label in images:
            writer.add(data, name, label)
    return str(path)


def small(path: Path, encrypt: bool = True) -> str:
    return written(path, [(png(image), f"{i}.png", i % 2) for i, image in enumerate(noise(6))], ("a", "b"), encrypt)


def test_a_pool_is_the_same_encrypted_or_not_and_neither_images_nor_names_can_be_read_in_it(
    tmp_path: Path, key: bytes
) -> None:
    sealed, plain = small(tmp_path / "sealed.parquet"), small(tmp_path / "plain.parquet", encrypt=False)
    tables = [open_images(PoolConfig(path=path, cache=str(tmp_path / "cache"))) for path in (sealed, plain)]
    ids = np.arange(6)
    assert np.array_equal(tables[0].pixels(ids), tables[1].pixels(ids))
    assert tables[0].classes == tables[1].classes == ("a", "b")
    assert tables[0].labels(ids).tolist() == [0, 1, 0, 1, 0, 1]
    assert tables[0].originals(ids) == tables[1].originals(ids)
    data = Path(sealed).read_bytes()
    assert data[-4:] == b"PARE"
    assert not any(word in data for word in (b"3.png", b"IHDR", b"huggingface", b"label"))
    assert b"IHDR" in Path(plain).read_bytes()


def test_without_the_key_with_another_or_with_none_that_is_a_key_the_file_is_refused_in_words(
    tmp_path: Path, key: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = PoolConfig(path=small(tmp_path / "pool.parquet"), cache=str(tmp_path / "cache"))
    monkeypatch.delenv(KEYS)
    with pytest.raises(PoolError, match=rf"is encrypted, and there is no key.*\n.*{KEYS}"):
        open_images(pool)
    monkeypatch.setenv(KEYS, OTHER.hex())
    with pytest.raises(PoolError, match=r"none of the 1 key\(s\)") as error:
        open_images(pool)
    assert OTHER.hex() not in str(error.value)
    secret = "00c0ffee" * 3
    monkeypatch.setenv(KEYS, f"{OTHER.hex()},{secret}")
    with pytest.raises(PoolError, match="key 2 of 2 is no key") as error:
        open_images(pool)
    assert secret not in str(error.value)
    with caplog.at_level(logging.WARNING):
        monkeypatch.setenv(KEYS, f"{OTHER.hex()}, {b64encode(KEY).decode()}")
        assert open_images(pool).rows == 6
    assert "decoded images and their features are not" in caplog.text
    assert keys() == [OTHER, KEY]


def test_a_key_that_comes_too_late_is_said_by_the_shard_that_reads_rows(
    tmp_path: Path, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = open_images(PoolConfig(path=small(tmp_path / "pool.parquet"), cache=str(tmp_path / "cache")))
    monkeypatch.delenv(KEYS)
    with pytest.raises(PoolError, match="there is no key"):
        table.pixels(np.arange(3))


def test_a_run_on_encrypted_images_keeps_its_references_encrypted_and_the_key_nowhere(
    small_config: Callable[..., Config], tmp_path: Path, key: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    every = digit_images()
    pool = written(tmp_path / "pool.parquet", every[:400], CLASSES)
    held_out = written(tmp_path / "held.parquet", every[400:600], CLASSES)
    references = written(tmp_path / "examples.parquet", every[600:620], CLASSES)
    base = small_config(
        pool={"path": pool}, evaluate={"path": held_out, "samples": 16}, query={"references": references}
    )
    with caplog.at_level(logging.DEBUG):
        run = Run(base)
        assert len(run.plan.reference.pixels(np.arange(3))) == 3
    kept = run.folder / FILE
    assert kept.read_bytes()[-4:] == b"PARE"
    with pytest.raises(OSError, match="encrypted"):
        pq.ParquetFile(kept)
    again = Preparation(run.plan.config, RunDirectory.open(run.plan.config.storage, run.plan.config.name))
    assert again.images.rows == 420
    forms = [KEY, KEY.hex().encode(), KEY.hex().upper().encode(), b64encode(KEY)]
    files = [p for folder in (run.folder, tmp_path) for p in folder.rglob("*") if p.is_file()]
    assert len(files) > 5
    for path in files:
        assert not any(form in path.read_bytes() for form in forms), path
    assert not any(form.decode() in caplog.text for form in forms[1:])


def test_a_plain_pool_needs_no_key_whatever_the_environment_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_pool(tmp_path / "pool.parquet", [png(image) for image in noise(3)])
    monkeypatch.setenv(KEYS, "no key at all")
    assert open_images(PoolConfig(path=str(path), cache=str(tmp_path / "cache"))).pixels(np.arange(3)).shape[0] == 3

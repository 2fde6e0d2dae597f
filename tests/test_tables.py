"""A run's rows keep their meaning while its pool grows; what it numbered is required, by name."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from round_case import Run, contents

from distal.checkpoints import read_saved
from distal.cli.status import describe_status
from distal.config import Config, PoolConfig
from distal.data.digits import CLASSES, digit_images
from distal.data.split import held_out
from distal.data.tables import TABLES, SavedImages, Tables, read_tables, write_tables
from distal.data.writer import PoolWriter
from distal.driver.preparation import Preparation
from distal.errors import PoolError, RunError, StorageError
from distal.report.collect import collect
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger, Query
from distal.sweep.tuner import share

Make = Callable[..., Config]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "pool", "m", 0, 120)
    return tmp_path / "pool"


@pytest.fixture
def config(small_config: Make, folder: Path) -> Config:
    return small_config(pool={"path": str(folder)})


def add(folder: Path, name: str, start: int, stop: int) -> None:
    """Let a file arrive."""
    folder.mkdir(exist_ok=True)
    with PoolWriter(folder / f"{name}.parquet", CLASSES) as writer:
        for data, path, label in digit_images()[start:stop]:
            writer.add(data, path, label)


def stop_after(round: int) -> Callable[..., bool]:
    return lambda result: result.round < round


def query(run: Run, round: int) -> np.ndarray:
    found = Ledger(run.directory).read_query(round)
    assert found is not None
    return found.row_ids


def test_a_run_goes_on_over_a_pool_that_grew_and_its_rows_keep_their_images(config: Config, folder: Path) -> None:
    first = Run(config)
    first.go(stop_after(1))
    asked = query(first, 1)
    images = first.plan.images.pixels(asked)
    reference, real = first.plan.reference_rows, (first.folder / "real.png").read_bytes()
    add(folder, "a", 120, 1200)

    second = Run(config)
    second.go()
    plan = second.plan
    assert plan.images.rows == 1200
    assert np.array_equal(plan.images.pixels(asked), images)
    assert np.array_equal(query(second, 1), asked)
    assert np.array_equal(plan.reference_rows, reference)
    assert (second.folder / "real.png").read_bytes() == real
    later = query(second, 2)
    assert (later >= 120).any()
    assert not held_out(later, plan.holdout).any()
    assert plan.holdout == first.plan.holdout

    saved = read_saved(second.directory)
    assert (saved.resolved["rows"], saved.resolved["fingerprint"]) == (1200, first.plan.images.fingerprint)
    assert "1,200 rows" in describe_status(second.directory)
    assert "; the pool grew: 120 rows, then 1,080" in describe_status(second.directory)
    assert collect(second.directory).growth == "the pool grew: 120 rows, then 1,080"
    kept = read_tables(second.directory)
    saved_images = SavedImages(second.directory, config.pool, saved.resolved["fingerprint"], kept)
    assert np.array_equal(saved_images.pixels(later), plan.images.pixels(later))


def test_a_run_that_grew_and_was_killed_is_resumed_to_the_same_files(config: Config, folder: Path) -> None:
    Run(config).go(stop_after(1))
    add(folder, "a", 120, 400)
    grown = Run(config)
    grown.go()
    unbroken, tables = contents(grown.folder), (grown.folder / TABLES).read_bytes()
    for name in ("COMMITTED", "metrics.json", "samples.png", "checkpoint/manifest.json", "query.parquet"):
        (grown.folder / "rounds/0002" / name).unlink()
    (grown.folder / "rounds/0002/labels.parquet").unlink()
    resumed = Run(config)
    resumed.go()
    assert contents(resumed.folder) == unbroken
    assert (resumed.folder / TABLES).read_bytes() == tables


def begun(config: Config) -> RunDirectory:
    """Leave a run that has asked something."""
    run = RunDirectory.open(config.storage, config.name)
    Preparation(config, run).write(run)
    run.write("rounds/0001/query.parquet", b"")
    return run


def test_files_that_arrive_launch_by_launch_are_appended_and_nothing_before_them_changes(
    config: Config, folder: Path
) -> None:
    run = begun(config)
    lists = [read_tables(run).tables]
    for name, start in (("z", 120), ("a", 140), ("k", 160)):
        add(folder, name, start, start + 20)
        Preparation(config, run).write(run)
        lists.append(read_tables(run).tables)
    assert all(later[:-1] == earlier for earlier, later in pairwise(lists))
    assert [(each.kind, each.first_row, each.rows) for each in lists[-1]] == [
        ("pool", 0, 120),
        ("pool", 120, 20),
        ("pool", 140, 20),
        ("pool", 160, 20),
    ]
    assert [Path(each.files[0].name).name for each in lists[-1]] == [f"{name}.parquet" for name in "mzak"]


def test_files_that_arrive_before_anything_was_asked_belong_to_the_first_table(config: Config, folder: Path) -> None:
    run = RunDirectory.open(config.storage, config.name)
    Preparation(config, run).write(run)
    add(folder, "a", 120, 140)
    Preparation(config, run).write(run)
    assert [each.rows for each in read_tables(run).tables] == [140]


def test_a_run_of_a_version_without_tables_is_the_first_table_as_it_is(config: Config, folder: Path) -> None:
    run = begun(config)
    written = run.read(TABLES)
    run.delete(TABLES)
    old = Preparation(config, run)
    old.require_same_images(run, read_saved(run))
    old.write(run)
    assert run.read(TABLES) == written
    run.delete(TABLES)
    add(folder, "a", 120, 140)
    with pytest.raises(RunError, match="the pool changed since this run began"):
        Preparation(config, run).require_same_images(run, read_saved(run))


def test_a_file_that_is_missing_or_another_is_refused_by_name_and_found_in_another_folder(
    config: Config, folder: Path
) -> None:
    run = begun(config)
    add(folder, "a", 120, 140)
    Preparation(config, run).write(run)
    moved = folder.rename(folder.with_name("moved"))
    there = config.model_copy(update={"pool": config.pool.model_copy(update={"path": str(moved)})})
    assert Preparation(there, run).tables == read_tables(run)
    (moved / "a.parquet").unlink()
    add(moved, "a", 141, 161)
    with pytest.raises(RunError, match=r"a\.parquet is not what it was"):
        Preparation(there, run)
    (moved / "a.parquet").unlink()
    with pytest.raises(RunError, match=r"(?s)pool changed.*a\.parquet is missing.*\nRestore the files"):
        Preparation(there, run)


def test_a_process_that_opened_the_pool_before_another_grew_the_run_is_refused(config: Config, folder: Path) -> None:
    run = begun(config)
    early = Preparation(config, run)
    add(folder, "a", 120, 140)
    Preparation(config, run).write(run)
    with pytest.raises(RunError, match="another process has taken in files"):
        early.require_same_images(run, read_saved(run))


def test_a_closed_list_takes_no_more_files_even_before_anything_was_asked(config: Config, folder: Path) -> None:
    run = RunDirectory.open(config.storage, config.name)
    write_tables(run, replace(Preparation(config).tables, closed=True))
    Preparation(config, run).write(run)
    assert read_tables(run).closed
    add(folder, "a", 120, 140)
    with pytest.raises(RunError, match=r"a\.parquet is new.\nTrials are compared on one pool"):
        Preparation(config, run)


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"tables": [], "closed": false, "digest": "x"}'])
def test_a_damaged_list_is_refused(tmp_path: Path, damage: bytes) -> None:
    run = RunDirectory.open(str(tmp_path), "r")
    run.write(TABLES, damage)
    with pytest.raises(StorageError, match=r"tables\.json is damaged"):
        read_tables(run)


def test_a_pool_whose_files_were_replaced_gives_no_images(tmp_path: Path) -> None:
    run = RunDirectory.open(str(tmp_path), "run")
    with pytest.raises(PoolError, match="its files changed since this run began"):
        SavedImages(run, PoolConfig(), "of other files", Tables()).pixels(np.array([0]))


def test_a_sweep_closes_the_list_of_its_pools_files(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Preparation, "evaluator", lambda self, *given: Mock())
    directory = RunDirectory.open(config.storage, f"{config.name}-sweep")
    share(config, directory)
    assert (read_tables(directory).closed, [each.rows for each in read_tables(directory).tables]) == (True, [120])
    add(folder, "a", 120, 140)
    with pytest.raises(RunError, match=r"a\.parquet is new"):
        share(config, directory)


def test_files_that_bring_a_class_the_run_does_not_know_are_refused_with_what_to_do(
    small_config: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    images = pa.array([data for data, _, _ in digit_images()[:60]], pa.binary())

    def arrive(name: str, labels: list[str | None]) -> None:
        pq.write_table(pa.table({"image": images, "label": pa.array(labels * 30)}), folder / f"{name}.parquet")

    arrive("m", ["crack", "free"])
    config = small_config(pool={"path": str(folder)})
    run = RunDirectory.open(config.storage, config.name)
    Preparation(config, run).write(run)
    Ledger(run).write_query(Query(1, np.array([1, 3]), np.zeros(2, np.float32), "random"))
    arrive("z", ["blowhole", "free"])
    with pytest.raises(RunError, match=r"classes crack, free; the pool also has blowhole now.\nA run keeps"):
        Preparation(config, run).compare(run)
    arrive("z", [None, "free"])
    Preparation(config, run).compare(run)

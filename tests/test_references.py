"""Example images that are no rows of the pool are labeled rows of the run from its beginning to its end."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from round_case import Run, contents

from distal.checkpoints import read_saved
from distal.cli.status import describe_status
from distal.config import Config
from distal.data.digits import CLASSES, digit_images
from distal.data.references import FILE, kept_references
from distal.data.split import held_out
from distal.data.tables import TABLES, SavedImages, read_tables
from distal.data.writer import PoolWriter
from distal.driver.preparation import Preparation
from distal.errors import ConfigError, RunError, StorageError
from distal.report.collect import collect
from distal.report.page import tiles
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger

Make = Callable[..., Config]
EACH = 3


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """Three scans a class, from the end of the digits."""
    folder = tmp_path / "examples"
    kept = dict.fromkeys(CLASSES, 0)
    for data, path, label in reversed(digit_images()):
        name = CLASSES[label]
        if kept[name] < EACH:
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / Path(path).name).write_bytes(data)
            kept[name] += 1
    return folder


def add(folder: Path, name: str, start: int, stop: int, classes: tuple[str, ...] | None = CLASSES) -> None:
    folder.mkdir(exist_ok=True)
    with PoolWriter(folder / f"{name}.parquet", classes) as writer:
        for data, path, label in digit_images()[start:stop]:
            writer.add(data, path, label)


@pytest.fixture
def config(small_config: Make, tmp_path: Path, examples: Path) -> Config:
    add(tmp_path / "pool", "m", 0, 120)
    return small_config(pool={"path": str(tmp_path / "pool")}, query={"references": str(examples)})


def test_references_are_trained_on_kept_by_the_run_and_never_asked_nor_held_out_while_the_pool_grows(
    config: Config, examples: Path, tmp_path: Path
) -> None:
    first = Run(config)
    plan = first.plan
    assert (plan.images.rows, plan.images.references) == (150, range(120, 150))
    assert held_out(np.arange(120, 150), plan.holdout).any()
    assert plan.given.row_ids.tolist() == list(range(120, 150))
    assert np.bincount(plan.given.labels).tolist() == [EACH] * 10
    assert plan.available == 120 - held_out(np.arange(120), plan.holdout).sum()
    shown = plan.images.pixels(np.arange(120, 150))
    first.go(lambda result: result.round < 1)
    shutil.rmtree(examples)  # the run keeps them
    add(tmp_path / "pool", "a", 120, 400)

    second = Run(config)
    second.go()
    images = second.plan.images
    assert [(t.kind, t.first_row, t.rows) for t in images.source.tables] == [
        ("pool", 0, 120),
        ("references", 120, 30),
        ("pool", 150, 280),
    ]
    assert np.array_equal(images.pixels(np.arange(120, 150)), shown)
    asked = Ledger(second.directory).asked()
    assert not ((asked >= 120) & (asked < 150)).any()
    status = describe_status(second.directory)
    assert "pool       400 rows of" in status
    assert "; the pool grew: 120 rows, then 280" in status
    assert "; 30 labels were given, 30 of them references, 3 a class" in status
    assert "30 more labels were given, 30 of them references, 3 a class" in tiles(collect(second.directory))[0].detail
    saved, kept = read_saved(second.directory), read_tables(second.directory)
    own = kept_references(second.directory, kept.tables)
    pool = SavedImages(second.directory, config.pool, saved.resolved["fingerprint"], kept, own)
    assert np.array_equal(pool.pixels(asked), images.pixels(asked))

    unbroken, tables = contents(second.folder), (second.folder / TABLES).read_bytes()
    shutil.rmtree(second.folder / "rounds/0002")
    moved = second.folder.rename(second.folder.with_name(f"{config.name}-moved"))
    resumed = Run(config.model_copy(update={"name": moved.name}))
    resumed.go()
    assert contents(moved) == unbroken
    assert (moved / TABLES).read_bytes() == tables
    (moved / FILE).write_bytes(b"PAR1" + (moved / FILE).read_bytes()[4:-9] + b"x" + (moved / FILE).read_bytes()[-8:])
    with pytest.raises(StorageError, match=r"references\.parquet is damaged"):
        Preparation(config.model_copy(update={"name": moved.name}), resumed.directory)


def opened(config: Config) -> Preparation:
    return Preparation(config, RunDirectory.open(config.storage, config.name))


def test_references_name_the_classes_of_a_pool_without_any_and_stand_beside_labels_that_there_are(
    small_config: Make, examples: Path, tmp_path: Path
) -> None:
    add(tmp_path / "pool", "m", 0, 120, None)
    few = {"references": str(examples), "labels": str(tmp_path / "mine.csv"), "batch": 2}
    asked = int(np.flatnonzero(~held_out(np.arange(120), 0.3))[0])
    (tmp_path / "mine.csv").write_text(f"row_id,label\n{asked},7\n")
    config = small_config(pool={"path": str(tmp_path / "pool")}, query=few, oracle={"kind": "files"})
    assert (opened(config).classes, len(opened(config).given.row_ids)) == (CLASSES, 31)
    run = RunDirectory.open(config.storage, config.name)
    opened(config).write(run)
    run.write("rounds/0001/query.parquet", b"")
    shutil.rmtree(examples / "0")
    assert opened(config).classes == CLASSES
    (tmp_path / "mine.csv").write_text("row_id,label\n121,7\n")  # a reference is no row that a table can name
    with pytest.raises(ConfigError, match=r"row id '121' is none of the pool's; its rows are 0 to 119"):
        opened(config.model_copy(update={"name": f"{config.name}-other"}))


def test_the_embedded_digits_take_references_of_their_classes_and_no_others(small_config: Make, examples: Path) -> None:
    config = small_config(pool={"classes": None}, query={"references": str(examples)})
    images = opened(config).images
    assert images.references == range(1797, 1827)
    opened(config).write(RunDirectory.open(config.storage, config.name))
    assert images.decode_each(np.array([1796, 1797])).any(axis=(1, 2, 3)).all()
    (examples / "3").rename(examples / "three")
    with pytest.raises(ConfigError, match=r"query\.references: 'three' is no class\n.*the pool: 0, 1, 2"):
        opened(config)


def test_other_references_are_another_run_and_a_sweeps_trials_take_over_the_sweeps(
    config: Config, examples: Path
) -> None:
    run = RunDirectory.open(config.storage, config.name)
    opened(config).write_tables(run, closed=True)
    trial = RunDirectory.open(config.storage, f"{config.name}-trial")
    for name in (FILE, TABLES):
        trial.write(name, run.read(name))
    (examples / "3").rename(examples / "three")
    begun = Preparation(config, trial)
    begun.write(trial)
    assert begun.given.row_ids.tolist() == list(range(120, 150))
    trial.write("rounds/0001/query.parquet", b"")
    others = config.query.model_copy(update={"references": None})
    with pytest.raises(RunError, match=r"differs in query\.references"):
        Preparation(config.model_copy(update={"query": others}), trial).compare(trial)

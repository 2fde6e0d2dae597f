"""Images that the generator draws are asked like any other row, and a killed run comes to the same bytes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from round_case import Run, contents
from training_case import labeled_rows

from distal import ActiveLearner
from distal.cli.status import describe_status
from distal.config import Config
from distal.data.digits import CLASSES, digit_images
from distal.data.generated import RunImages, decode_png, encode_image
from distal.data.tables import SavedImages, read_tables
from distal.data.writer import PoolWriter
from distal.driver.preparation import Preparation
from distal.errors import ConfigError, RunError, StorageError
from distal.learning import Unfinished
from distal.oracle import Classes, Item, build_oracle
from distal.oracle.told import tell
from distal.run.directory import RunDirectory
from distal.run.generated import FIRST, GENERATED, is_generated, read_generated
from distal.run.ledger import Ledger
from distal.train.kept import Kept
from distal.train.synthesized import Synthesized

Make = Callable[..., Config]


def add(folder: Path, name: str, start: int, stop: int) -> None:
    folder.mkdir(exist_ok=True)
    with PoolWriter(folder / f"{name}.parquet", CLASSES) as writer:
        for data, path, label in digit_images()[start:stop]:
            writer.add(data, path, label)


def person(item: Item) -> int | None:
    """Name rows of the pool by their label, every other drawn image as a 3, and refuse the rest."""
    if item.row_id < FIRST:
        return digit_images()[item.row_id][2]
    assert item.path == f"generated in round {item.round}"
    assert (item.image.shape, item.image.dtype) == ((8, 8), np.uint8)
    return 3 if item.row_id % 2 else None


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Ask about two drawn images in ten, of a pool of 400 rows; without labels no judge has to be trained."""
    folder = tmp_path_factory.mktemp("generated")
    add(folder / "pool", "m", 0, 400)
    tree: dict[str, Any] = {
        "name": "unbroken",
        "storage": str(folder / "runs"),
        "rounds": 3,
        "pool": {"path": str(folder / "pool"), "cache": str(folder / "decoded")},
        "query": {"batch": 10, "synthesize": 0.2},
        "oracle": {"kind": "callable"},
        "train": {"steps": 4, "batch_size": 16, "threads": 1},
        "evaluate": {"samples": 32, "reference": 100, "extractor": "pixels", "metrics": ["membership"]},
    }
    tree["pool"] |= {"label_column": None, "classes": list(CLASSES)}
    return Config.model_validate(tree)


@pytest.fixture(scope="module")
def unbroken(base: Config) -> Run:
    run = Run(base, person, shards=1)
    assert run.go().reason == "budget"
    return run


@pytest.fixture
def copied(unbroken: Run, tmp_path: Path) -> RunDirectory:
    """Copy the run, to be broken."""
    shutil.copytree(unbroken.folder.parent / "evaluation-cache", tmp_path / "evaluation-cache")
    shutil.copytree(unbroken.folder, tmp_path / "again")
    return RunDirectory.open(str(tmp_path), "again")


def moved(base: Config, run: RunDirectory) -> Config:
    return base.model_copy(update={"storage": run.storage, "name": run.name})


def test_drawn_images_are_asked_after_the_pools_rows_counted_apart_and_taught(unbroken: Run) -> None:
    ledger = Ledger(unbroken.directory)
    queries = [query.row_ids for round in (1, 2, 3) if (query := ledger.read_query(round)) is not None]
    assert list(map(len, queries)) == [10, 10, 10]
    assert [ids[is_generated(ids)].tolist() for ids in queries] == [[], [FIRST, FIRST + 1], [FIRST + 2, FIRST + 3]]
    table = pq.read_table(unbroken.folder / "rounds/0002/query.parquet")
    assert table["strategy"].to_pylist() == ["uherding"] * 8 + ["generated"] * 2
    labels = ledger.labels()
    assert len(labels.row_ids) == 26
    assert not is_generated(labels.row_ids).any()
    assert ledger.of_generated().labels.tolist() == [-1, 3, -1, 3]
    assert "30 answers, budget 30, cost 30; 2 of 4 generated images have a class" in describe_status(unbroken.directory)
    first, last = (json.loads((unbroken.folder / f"rounds/{n:04d}/metrics.json").read_text()) for n in (1, 3))
    counted = last["generated"]
    assert (last["labels"], last["asked"], counted["answers"], counted["nothing"]) == (26, 30, 4, 2)
    assert counted["as_drawn"] + counted["another"] == 2
    assert {"answered", "refused", "variety", "variety_least"} <= last["losses"].keys()
    told = {score["name"]: score for score in last["scores"]}
    assert (told["membership_labeled"]["samples"], told["membership"]["note"][:4]) == (26, "95%:")
    assert not {"answered", "refused"} & first["losses"].keys()


@pytest.mark.parametrize("lost", ["all of it", "its query"])
def test_a_run_killed_in_a_round_ends_as_an_unbroken_one_on_other_shards(
    lost: str, base: Config, unbroken: Run, copied: RunDirectory
) -> None:
    if lost == "all of it":
        copied.delete("rounds/0003")
    else:  # killed when the images were drawn, and nobody was asked
        for name in copied.list("rounds/0003"):
            if name != GENERATED:
                copied.delete(f"rounds/0003/{name}")
    resumed = Run(moved(base, copied), person, shards=3)
    resumed.go()
    assert contents(resumed.folder) == contents(unbroken.folder)


def test_their_ids_stay_what_they_are_while_the_pool_grows_and_their_images_are_the_runs(
    base: Config, copied: RunDirectory, tmp_path: Path
) -> None:
    add(tmp_path / "pool", "m", 0, 400)
    add(tmp_path / "pool", "n", 400, 500)
    config = moved(base, copied)
    config = config.model_copy(
        update={"pool": config.pool.model_copy(update={"path": str(tmp_path / "pool"), "label_column": "label"})}
    )
    opened = Preparation(config, copied)
    with copied.lock("driver"):
        opened.write_tables(copied)
    assert opened.images.rows == 500
    drawn = read_generated(copied, 2)
    assert drawn is not None
    images, mixed = RunImages(opened.images, copied), np.array([450, FIRST + 1, 3, FIRST, FIRST + 2])
    pixels, originals = images.pixels(mixed), images.originals(mixed)
    assert np.array_equal(pixels[3], decode_png(drawn.images[0]))
    assert np.array_equal(pixels[[0, 2]], opened.images.pixels(mixed[[0, 2]]))
    assert originals[1] == (drawn.images[1], "generated in round 2")
    assert originals[0] == opened.images.originals(mixed[:1])[0]
    assert images.labels(mixed).tolist() == [digit_images()[450][2], -1, digit_images()[3][2], -1, -1]
    shown = SavedImages(copied, config.pool, opened.images.fingerprint, read_tables(copied))
    assert np.array_equal(shown.pixels(mixed), pixels)
    with pytest.raises(RunError, match=f"row {FIRST + 9} is none of its generated images"):
        images.pixels(np.array([FIRST + 9]))
    file = tmp_path / "again/rounds/0002" / GENERATED
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StorageError, match=r"generated\.parquet"):
        RunImages(opened.images, copied).pixels(mixed)


def test_people_are_shown_them_and_tell_what_they_are(base: Config, copied: RunDirectory) -> None:
    for name in ("COMMITTED", "labels.parquet", "metrics.json", "samples.png", "checkpoint"):
        copied.delete(f"rounds/0003/{name}")
    config = moved(base, copied).model_copy(update={"oracle": base.oracle.model_copy(update={"kind": "files"})})
    opened = Preparation(moved(base, copied), copied)
    images, query = RunImages(opened.images, copied), Ledger(copied).read_query(3)
    assert query is not None
    oracle = build_oracle(config, images, CLASSES, copied)
    oracle.submit(query)
    folder = "rounds/0003/to-label"
    assert decode_png(copied.read(f"{folder}/{FIRST + 2}.png")).shape == (1, 8, 8)
    lines = copied.read(f"{folder}/labels.csv").decode().splitlines()
    assert lines[-1] == f"{FIRST + 3},{FIRST + 3}.png,generated in round 3,"
    copied.write(f"{folder}/labels.csv", "\n".join([lines[0], lines[-2] + "skip", lines[-1] + "7"]).encode())
    (answers,) = oracle.collect(query, query.row_ids)
    assert [(answer.row_id, answer.label) for answer in answers] == [(FIRST + 2, None), (FIRST + 3, 7)]
    ledger = Ledger(copied, len(CLASSES))
    tell(ledger, Classes(CLASSES, {}), query.row_ids.tolist(), [1] * 8 + [None, "7"], "ann")
    assert ledger.of_generated().labels.tolist() == [-1, 3, -1, 7]


def test_a_round_that_was_kept_for_other_answers_begins_anew(base: Config, tmp_path: Path) -> None:
    run, image = RunDirectory.open(str(tmp_path), "run"), np.zeros((1, 1, 8, 8), np.uint8)

    def keeper(*labels: int) -> Unfinished:
        answers = Synthesized(image.repeat(len(labels), 0), np.array(labels)) if labels else None
        return Unfinished(run, 2, base, labeled_rows(synthesized=answers))

    keeper(-1).keep(Kept(2, 0, {"a": b"b"}, {}))
    assert keeper(-1).read() is not None
    assert keeper(3).read() is keeper(-1, -1).read() is keeper().read() is None


def test_a_label_column_a_batch_too_small_and_colour_are_thought_of(small_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"query\.synthesize: oracle\.kind=dataset reads a column of labels"):
        ActiveLearner(small_config(query={"synthesize": 0.2}))
    with pytest.raises(ConfigError, match=r"query\.synthesize: 0\.05 of query\.batch=10 is less than one image"):
        small_config(query={"synthesize": 0.05}, oracle={"kind": "told"})
    colours = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    assert np.array_equal(decode_png(encode_image(colours)), colours)

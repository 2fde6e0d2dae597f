"""Images that the generator draws are asked like any other, kept by the run, and come to the same bytes after a kill."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from round_case import Run, contents

from distal import ActiveLearner
from distal.checkpoints import read_checkpoint, read_saved
from distal.config import Config
from distal.data.digits import CLASSES, digit_images
from distal.data.generated import RunImages, decode_png, encode_image
from distal.data.tables import SavedImages, read_tables
from distal.data.writer import PoolWriter
from distal.errors import ConfigError, RunError, StorageError
from distal.oracle import Item
from distal.run.generated import FIRST, GENERATED, is_generated, read_generated
from distal.run.ledger import Ledger
from distal.train.kept import Kept

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


@pytest.fixture
def config(small_config: Make, tmp_path: Path) -> Config:
    add(tmp_path / "pool", "m", 0, 400)
    query = {"synthesize": 0.2, "strategy": "badge"}
    return small_config(pool={"path": str(tmp_path / "pool")}, query=query, oracle={"kind": "callable"}, rounds=3)


def test_drawn_images_are_asked_answered_kept_and_taught_and_a_killed_run_ends_as_an_unbroken_one(
    config: Config, tmp_path: Path
) -> None:
    run = Run(config, person, shards=1)
    assert run.go().reason == "budget"
    ledger, directory = Ledger(run.directory), run.directory
    queries = [ledger.read_query(round) for round in (1, 2, 3)]
    assert [len(q.row_ids) for q in queries if q is not None] == [10, 10, 10]
    own = [q.row_ids[is_generated(q.row_ids)].tolist() for q in queries if q is not None]
    assert own == [[], [FIRST, FIRST + 1], [FIRST + 2, FIRST + 3]]
    table = pq.read_table(run.folder / "rounds/0002/query.parquet")
    assert table["strategy"].to_pylist() == ["badge"] * 8 + ["generated"] * 2
    assert len(ledger.labels().row_ids) == 26
    assert not is_generated(ledger.labels().row_ids).any()
    assert ledger.of_generated().labels.tolist() == [-1, 3, -1, 3]
    metrics = json.loads((run.folder / "rounds/0003/metrics.json").read_text())
    counted = metrics["generated"]
    assert (metrics["labels"], metrics["asked"], counted["answers"], counted["nothing"]) == (26, 30, 4, 2)
    assert counted["as_drawn"] + counted["another"] == 2
    assert {"answered", "refused"} <= metrics["losses"].keys()
    assert not {"answered", "refused"} & json.loads((run.folder / "rounds/0001/metrics.json").read_text())["losses"].keys()

    unbroken = contents(run.folder)
    for lost in ("rounds/0003", "rounds/0002/query.parquet", "rounds/0002/checkpoint"):
        broken = tmp_path / "broken"
        shutil.copytree(run.folder, broken / "again")
        name = broken / "again" / lost
        if lost != "rounds/0003":
            shutil.rmtree(broken / "again/rounds/0003")
            for file in ("COMMITTED", "metrics.json", "samples.png"):
                (broken / "again/rounds/0002" / file).unlink()
        if lost == "rounds/0002/query.parquet":  # killed when the images were drawn, and nobody was asked
            name.unlink()
            shutil.rmtree(broken / "again/rounds/0002/checkpoint")
            (broken / "again/rounds/0002/labels.parquet").unlink()
        else:
            shutil.rmtree(name)
        shutil.copytree(run.folder.parent / "evaluation-cache", broken / "evaluation-cache")
        resumed = Run(config.model_copy(update={"storage": str(broken), "name": "again"}), person, shards=3)
        resumed.go()
        assert contents(resumed.folder) == unbroken, lost
        shutil.rmtree(broken)
    assert directory.committed() == [1, 2, 3]


def test_their_ids_stay_what_they_are_while_the_pool_grows_and_their_images_are_the_runs(
    config: Config, tmp_path: Path
) -> None:
    run = Run(config, person)
    run.go(lambda result: result.round < 2)
    drawn = read_generated(run.directory, 2)
    assert drawn is not None
    add(tmp_path / "pool", "n", 400, 500)
    grown = Run(config, person)
    grown.go()
    images = RunImages(grown.plan.images, grown.directory)
    mixed = np.array([450, FIRST + 1, 3, FIRST, FIRST + 2])
    pixels = images.pixels(mixed)
    assert np.array_equal(pixels[3], decode_png(drawn.images[0]))
    assert np.array_equal(pixels[[0, 2]], grown.plan.images.pixels(mixed[[0, 2]]))
    originals = images.originals(mixed)
    assert originals[1] == (drawn.images[1], "generated in round 2")
    assert originals[0] == grown.plan.images.originals(mixed[:1])[0]
    assert images.labels(mixed).tolist() == [digit_images()[450][2], -1, digit_images()[3][2], -1, -1]
    saved = read_saved(grown.directory)
    shown = SavedImages(grown.directory, config.pool, saved.resolved["fingerprint"], read_tables(grown.directory))
    assert np.array_equal(shown.pixels(mixed), pixels)
    with pytest.raises(RunError, match=f"row {FIRST + 9} is none of its generated images"):
        images.pixels(np.array([FIRST + 9]))
    path = grown.folder / "rounds/0002" / GENERATED
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StorageError, match=r"generated\.parquet"):
        RunImages(grown.plan.images, grown.directory).pixels(mixed)


def test_a_round_that_was_kept_for_other_answers_begins_anew(config: Config) -> None:
    run = Run(config, person)
    run.go(lambda result: result.round < 2)
    files = read_checkpoint(run.directory, 2)
    path = run.folder / "rounds/0002/training.safetensors"
    refused = Kept(2, 0, files, {"recent": {}, "last": {}, "usual": {}}).to_bytes({"round": 2, "labels": "others"})
    for file in ("COMMITTED", "metrics.json"):
        (run.folder / "rounds/0002" / file).unlink()
    shutil.rmtree(run.folder / "rounds/0002/checkpoint")
    path.write_bytes(refused)
    again = Run(config, person)
    again.go(lambda result: result.round < 2)
    assert read_checkpoint(again.directory, 2)["generator.safetensors"] == files["generator.safetensors"]


def test_people_see_them_in_the_folder_of_files_and_skip_refuses_one(config: Config, small_config: Make) -> None:
    tree = config.model_dump(mode="json") | {"oracle": {"kind": "files"}, "rounds": 2}
    learner = ActiveLearner(tree)
    for round in (1, 2):
        assert learner.run().kind == "waiting"
        folder = learner.run_directory.local / f"rounds/{round:04d}/to-label"  # type: ignore[operator]
        lines = (folder / "labels.csv").read_text().splitlines()
        ids = [int(line.split(",")[0]) for line in lines[1:]]
        filled = [line + ("skip" if row >= FIRST else str(digit_images()[row][2])) for line, row in zip(lines[1:], ids, strict=True)]
        (folder / "labels.csv").write_text("\n".join([lines[0], *filled]))
    assert [row for row in ids if row >= FIRST] == [FIRST, FIRST + 1]
    assert decode_png((folder / f"{FIRST}.png").read_bytes()).shape == (1, 8, 8)
    assert ",generated in round 2," in lines[-1]
    assert learner.run().kind == "stopped"
    assert Ledger(learner.run_directory).of_generated().labels.tolist() == [-1, -1]
    assert str(FIRST) in learner.run_directory.read("report.html").decode()


def test_a_label_column_a_batch_too_small_and_colour_are_thought_of(small_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"query\.synthesize: oracle\.kind=dataset reads a column of labels"):
        ActiveLearner(small_config(query={"synthesize": 0.2}))
    with pytest.raises(ConfigError, match=r"query\.synthesize: 0\.05 of query\.batch=10 is less than one image"):
        small_config(query={"synthesize": 0.05}, oracle={"kind": "told"})
    colours = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    assert np.array_equal(decode_png(encode_image(colours)), colours)

"""A run that ends asks whether its images pay, says so on its page, and gives a filtered set away; without Ray."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from distal import ActiveLearner, Config
from distal.checkpoints import open_generator
from distal.cli import main
from distal.data.importers import import_images
from distal.driver import proving
from distal.driver.choosing import choose
from distal.driver.proving import prove_run
from distal.prove import network
from distal.run.directory import RunDirectory


@pytest.fixture(scope="module")
def ended(storage: Path, decoded: Path) -> RunDirectory:
    """Run to the end on the embedded digits, and prove it with networks of few updates."""
    patch = pytest.MonkeyPatch()
    patch.setattr(network, "STEPS", 3)
    patch.setattr("distal.driver.trainings.joined_ray", lambda: False)  # another test of this process may have begun it
    config = {
        "name": "proven",
        "storage": str(storage),
        "rounds": 1,
        "pool": {"cache": str(decoded), "shards": 0},
        "query": {"batch": 60},
        "train": {"steps": 4, "batch_size": 16, "threads": 1, "workers": 0},
        "evaluate": {"samples": 64, "reference": 200},
        "prove": {"enabled": True, "seeds": 2, "per_class": 12},
    }
    ActiveLearner(config).run()
    patch.undo()
    return RunDirectory.open(str(storage), "proven")


def test_a_run_that_ends_is_proven_by_two_classifiers_and_the_page_says_it(ended: RunDirectory) -> None:
    proof = json.loads(ended.read("prove.json"))
    assert (proof["round"], proof["seeds"], proof["labels"]) == (1, 2, 60)
    assert proof["answer"] != "yes"
    assert len({proof["classifier"], *(other["classifier"] for other in proof["others"])}) == 2
    page = ended.read("report.html").decode()
    assert '<section id="proof">' in page
    assert f"<b>Label more?</b> {proof['label_more']}" in page
    assert "Images beside the training images that they come closest to" in page


def test_it_is_not_proven_twice(ended: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proving, "prove_run", lambda *arguments: pytest.fail("proven twice"))
    proving.prove_at_end(ended, Config.model_validate({"prove": {"enabled": True}}), lambda event: None)


def test_labeled_images_given_as_generated_ones_are_called_copies(
    ended: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "STEPS", 1)
    monkeypatch.setattr("distal.driver.trainings.joined_ray", lambda: False)
    assert main(["data", "import", "digits", f"{tmp_path}/all.parquet"]) == 0
    table = pq.read_table(tmp_path / "all.parquet")
    labels = pq.read_table(f"{ended.local}/rounds/0001/labels.parquet")["row_id"].to_numpy()
    pq.write_table(table.take(labels), tmp_path / "copies.parquet")
    text = prove_run(ended, [], f"{tmp_path}/copies.parquet", 20, 10, 2, None, lambda step: None)
    said = json.loads(ended.read("prove.json"))["copies"]
    assert said["copied"] >= 0.95 * said["of"] > 0
    assert "the given images repeat what was trained on" in text
    assert "\nLabel more? " in text


@pytest.mark.parametrize(("sure", "passes"), [(2.0, False), (0.0, True)])
def test_the_images_that_are_judged_are_those_that_a_filter_gives_away(
    ended: RunDirectory, monkeypatch: pytest.MonkeyPatch, sure: float, passes: bool
) -> None:
    monkeypatch.setattr(network, "STEPS", 1)
    monkeypatch.setattr("distal.driver.choosing.SURE", sure)
    monkeypatch.setattr("distal.driver.choosing.TRIES", 1)
    monkeypatch.setattr("distal.driver.trainings.joined_ray", lambda: False)
    text = prove_run(ended, [], None, 12, 10, 1, None, lambda step: None)
    proof = json.loads(ended.read("prove.json"))
    labels = np.bincount(pq.read_table(f"{ended.local}/rounds/0001/labels.parquet")["label"], minlength=10)
    judged = sum(group["images"] for group in proof["groups"] if group["kind"] == "class")
    assert proof["copies"]["of"] == np.maximum(12 - labels, 0).sum(), "copies are sought among all that is drawn"
    assert (judged > 0) == passes
    assert judged <= proof["copies"]["of"]
    assert ("doubted by the judge" in text) != passes
    assert proof["left_out"] or passes


def test_a_balanced_choice_fills_each_class_up_with_its_labels(ended: RunDirectory) -> None:
    generator = open_generator(ended)
    labels = np.bincount(pq.read_table(f"{ended.local}/rounds/0001/labels.parquet")["label"], minlength=10)
    chosen = choose(ended, generator, range(10), 15, 0, "drawn", True, False, lambda step: None)
    assert (np.bincount(chosen.labels, minlength=10) + labels == np.maximum(labels, 15)).all()


def test_what_a_filter_lets_through_is_written_with_its_origin_and_can_be_imported(
    ended: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("distal.driver.choosing.SURE", 0.08)
    command = ["generate", f"{ended.local}", "--filter", "-n", "3", "--seed", "5"]
    labeled = tmp_path / "labeled.parquet"
    assert main([*command, "--out", f"{tmp_path}/more.parquet", "--labeled", f"{labeled}"]) == 0
    asked = pq.read_table(f"{ended.local}/rounds/0001/labels.parquet").to_pylist()
    beside = {int(row["image"]["path"][4:-4]): row["label"] for row in pq.read_table(labeled).to_pylist()}
    assert beside == {row["row_id"]: row["label"] for row in asked}
    assert main([*command, "--out", f"{tmp_path}/more/"]) == 0
    told = capsys.readouterr().out
    rows = pq.read_table(tmp_path / "more.parquet").to_pylist()
    assert rows
    assert len(rows) == 30 or "doubted by the judge" in told
    for row in rows:
        assert (row["round"], row["seed"]) == (1, 5)
        assert row["confidence"] >= 0.08
        assert row["closeness"] >= 1
    with (tmp_path / "more" / "manifest.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert [int(each["latent"]) for each in listed] == [row["latent"] for row in rows]
    assert f"{len(rows)} images" in str(import_images(f"{tmp_path}/more", tmp_path / "again.parquet", None))
    generator = open_generator(ended)
    for row in rows[:3]:
        block = row["latent"] // 256 * 256
        labels = np.full(row["latent"] - block + 1, row["label"])
        again = generator.images(labels, 5, first=block)[-1]
        assert row["image"]["bytes"] == _png(again)


def _png(image: np.ndarray) -> bytes:
    from distal.data.digits import encode_png

    return encode_png(image[0])

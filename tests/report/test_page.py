"""What the page says of a run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from digits_run import DIGITS, make_run

from distal.report import page
from distal.report.collect import RunRecord, collect
from distal.run.directory import RunDirectory, round_path
from distal.run.ledger import Answer, Ledger


def _with_metrics(run: RunDirectory, round: int, **changes: Any) -> RunRecord:
    metrics = json.loads(run.read(round_path(round, "metrics.json")))
    run.write(round_path(round, "metrics.json"), json.dumps({**metrics, **changes}).encode())
    return collect(run)


def test_the_lead_says_labels_rounds_distance_and_agreement(tmp_path: Path) -> None:
    said = page.lead(collect(make_run(tmp_path, rounds=3)))
    assert said == (
        "29 labels in 3 rounds: Fréchet distance (pool-cnn) went from 611 to 9.3, 65.7 times lower. "
        "96.0% of the generated images are of the class asked."
    )


def test_a_distance_that_rose_is_called_higher(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2)
    scores = json.loads(run.read(round_path(2, "metrics.json")))["scores"]
    scores[0]["value"] = 800.0
    record = _with_metrics(run, 2, scores=scores)
    assert "from 611 to 800 (higher)" in page.lead(record)
    assert page.tiles(record)[1].detail == "from 611; best 611 in round 1"


def test_the_status_names_the_reason_the_wait_or_the_round(tmp_path: Path) -> None:
    ended = collect(make_run(tmp_path / "a", rounds=1))
    assert page.status(ended) == ("ended", "Ended: label budget 10")
    waiting = collect(make_run(tmp_path / "b", rounds=1, unfinished=4, stopped=False))
    assert page.status(waiting) == ("open", "Round 2 waits for 6 labels")
    training = collect(make_run(tmp_path / "c", rounds=1, unfinished=10, stopped=False))
    assert page.status(training) == ("open", "Round 2 is in progress")
    fresh = collect(make_run(tmp_path / "d", rounds=0, stopped=False))
    assert page.status(fresh)[1].startswith("Not started")


def test_labels_are_counted_against_the_budget(tmp_path: Path) -> None:
    tile = page.tiles(collect(make_run(tmp_path, rounds=3)))[0]
    assert (tile.value, tile.detail) == ("29", "30 of 30 answered, 1 declined")


def test_labels_that_the_run_began_with_are_no_part_of_the_budget(tmp_path: Path) -> None:
    record = collect(make_run(tmp_path, rounds=1))
    begun = replace(record, config=record.config | {"resolved": {"given": {"labels": 12, "sha256": "a"}}})
    tile = page.tiles(begun)[0]
    assert (tile.value, tile.detail) == ("10", "10 of 10 answered, 12 more labels were given")


def test_each_class_shows_its_labels_by_round_and_its_scores(tmp_path: Path) -> None:
    record = collect(make_run(tmp_path, rounds=4))
    rows = page.class_rows(record, DIGITS)
    assert [row.name for row in rows] == list(DIGITS)
    assert sum(row.labels for row in rows) == record.labels
    assert all(row.distance is not None and row.agreement is not None for row in rows)


def test_an_agreement_of_zero_is_shown_as_zero(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=1)
    scores = json.loads(run.read(round_path(1, "metrics.json")))["scores"]
    for line in scores:
        line["value"] = 0.0 if line["name"] == "agreement_class" else line["value"]
    rows = page.class_rows(_with_metrics(run, 1, scores=scores), DIGITS)
    assert [row.agreement for row in rows] == [0.0] * 10


def test_labels_beyond_the_known_classes_are_not_lost(tmp_path: Path) -> None:
    record = collect(make_run(tmp_path, rounds=4))
    rows = page.class_rows(record, ["zero"])
    assert rows[0].name == "zero"
    assert rows[7].name == "class 7"
    assert sum(row.labels for row in rows) == record.labels


def test_a_wait_for_people_does_not_flatten_the_bars(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2)
    record = _with_metrics(run, 2, seconds={"acquire": 1.0, "annotate": 9000.0, "train": 10.0, "evaluate": 2.0})
    view = page.time_view(record)
    assert view is not None
    assert view.note == "Annotation took 2 h 30 min in all and is left out of the bars."
    assert ">annotate<" not in view.figure


def test_a_changed_extractor_is_warned_of(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2)
    assert page.warnings(collect(run)) == []
    scores = json.loads(run.read(round_path(2, "metrics.json")))["scores"]
    scores[0]["hash"] = "other"
    assert "changed between rounds 1 and 2" in page.warnings(_with_metrics(run, 2, scores=scores))[0]


def test_a_run_without_scores_has_no_curves(tmp_path: Path) -> None:
    record = collect(make_run(tmp_path, rounds=0, unfinished=3, stopped=False))
    assert page.curves(record) == []
    assert page.time_view(record) is None
    assert page.lead(record).startswith("No round is committed yet")


def test_few_rounds_of_many_are_spread_evenly_from_first_to_last(tmp_path: Path) -> None:
    record = collect(make_run(tmp_path, rounds=9, batch=2))
    assert [r.round for r in page.spread(record.rounds, 3)] == [1, 5, 9]
    assert len(page.spread(record.rounds, 12)) == 9


def test_a_giant_label_costs_no_more_than_a_small_one(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=1, unfinished=1)
    query = Ledger(run).read_query(2)
    assert query is not None
    Ledger(run).record(2, [Answer(int(query.row_ids[1]), 2**62, "dataset", 0.0)])
    rows = page.class_rows(collect(run), DIGITS)
    assert [row.name for row in rows] == [*DIGITS, f"class {2**62}"]
    assert rows[-1].by_round == ((2, 1),)


def test_the_distance_is_judged_by_that_of_real_images_from_real_images(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=2)
    scores = json.loads(run.read(round_path(2, "metrics.json")))["scores"]
    floor = {**scores[0], "name": "fd_pool-cnn_floor", "value": 3.1}
    record = _with_metrics(run, 2, scores=[*scores, floor])
    assert "About 3.1 is the floor" in page.lead(record)
    assert "this is 3 times that" in page.lead(record)
    assert "real images 3.1" in page.curves(record)[0][1]


def test_an_accuracy_stands_beside_the_mean_of_the_classes_which_one_frequent_class_does_not_carry(
    tmp_path: Path,
) -> None:
    values = {"probe_accuracy": 0.72, "probe_accuracy_balanced": 0.2}
    scores = [
        {"name": name, "value": value, "extractor": "probe", "split": "a", "samples": 9, "reference": 9, "error": None}
        for name, value in values.items()
    ]
    record = _with_metrics(make_run(tmp_path, rounds=1), 1, scores=scores)
    tile = next(tile for tile in page.tiles(record) if tile.name == "Accuracy of the probe")
    assert (tile.value, tile.detail) == ("72.0%", "mean of the classes 20.0%")


def test_the_time_counts_the_reference_phase_and_names_it(tmp_path: Path) -> None:
    record = _with_metrics(make_run(tmp_path, rounds=1), 1, seconds={"reference": 3.0, "train": 7.0})
    tile = page.tiles(record)[-1]
    assert (tile.value, tile.detail) == ("10 s", "7 s a round, 3 s for the reference")

"""People judge generated images: blind, each in an order of their own, counted once, with an honest interval."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))

from digits_run import make_run

from distal.label.judging import Judging
from distal.label.trials import BANK, Trials
from distal.metrics import Score, find_score
from distal.metrics.registry import is_share, score_title
from distal.report.collect import collect
from distal.report.page import tiles
from distal.resolve import make_config
from distal.run.directory import RunDirectory
from distal.run.judgements import judgements_of, tally, wilson
from distal.run.results import read_result
from distal.stopping import decide_stop


class Generator:
    """Generate images that are white; the real ones are black."""

    round = 2
    saved = SimpleNamespace(config=SimpleNamespace(seed=3), classes=("cat", "dog"))

    def images(self, labels, seed):
        return np.full((len(labels), 1, 8, 8), 255, np.uint8)


def trials(known: bool = True) -> Trials:
    rows = np.arange(40, dtype=np.int64)
    labels = rows % 2 if known else np.full(40, -1, dtype=np.int64)
    return Trials(Generator(), rows, labels, lambda ids: np.zeros((len(ids), 1, 8, 8), np.uint8))


@pytest.fixture
def run(tmp_path):
    return RunDirectory.open(str(tmp_path), "r")


def judging(run) -> Judging:
    return Judging(run, 2, ("cat", "dog"), trials(), "me")


def answer(page: Judging, number: int, choice: int, kind: str = "real", token: str = "", person: str = "ann"):
    return page.judge(
        {"person": person, "kind": kind, "trial": number, "choice": choice, "token": token or f"{person}{kind}{number}"}
    )


def test_a_pair_is_of_one_class_and_the_generated_one_stands_on_either_side_as_often():
    made = trials()
    drawn = [made.trial("ann", "real", n) for n in range(1, 201)]
    assert all(t.real % 2 == t.class_index == t.generated % 2 for t in drawn)
    left = sum(t.sides == (True, False) for t in drawn)
    assert 70 <= left <= 130  # four standard deviations
    assert len({t.generated for t in drawn}) == 200 < BANK


def test_images_stand_where_the_trial_says_and_no_name_or_size_tells_which_is_real(run):
    page = judging(run)
    trial = page._trials.trial("ann", "real", 1)
    shown = [page.image({"kind": "real", "trial": 1, "side": side}, {"person": "ann"}) for side in (0, 1)]
    whites = [page._trials.image(trial, side).mean() > 0 for side in (0, 1)]
    assert tuple(whites) == trial.sides
    assert [(kind, about) for _, kind, about in shown] == [("image/png", "")] * 2
    assert "sides" not in page.trial({"person": "ann", "kind": "real"})


@pytest.mark.parametrize(
    ("trial", "side"),
    [("1", "2"), ("1", "-1"), ("0", "0"), ("-5", "0"), ("9" * 30, "0"), ("9" * 5000, "0"), ("x", "0")],
)
def test_an_image_of_no_trial_is_refused(run, trial, side):
    with pytest.raises((KeyError, ValueError)):
        judging(run).image({"kind": "real", "trial": trial, "side": side}, {"person": "ann"})


def test_people_have_trials_of_their_own_the_same_whenever_they_come_back():
    assert [trials().trial("ann", "real", n) for n in (1, 2)] == [trials().trial("ann", "real", n) for n in (1, 2)]
    assert [trials().trial("ann", "real", n).generated for n in range(1, 9)] != [
        trials().trial("bob", "real", n).generated for n in range(1, 9)
    ]


def test_real_images_of_the_class_are_mixed_in_where_classes_are_known():
    drawn = [trials().trial("ann", "class", n) for n in range(1, 101)]
    assert 20 < sum(t.sides == (False,) for t in drawn) < 80
    assert all(trials(known=False).trial("ann", "class", n).sides == (True,) for n in range(1, 20))


def test_a_judgement_is_durable_and_counted_once(run):
    page = judging(run)
    trial = page._trials.trial("ann", "real", 1)
    answer(page, 1, trial.sides.index(True))
    answer(page, 1, trial.sides.index(True))
    answer(page, 1, trial.sides.index(False), token="another")
    kept = judgements_of(run, 2).new()
    assert [(j.trial, j.wrong, j.generated) for j in kept] == [(1, True, True)]
    assert judging(run).trial({"person": "ann", "kind": "real"})["trial"] == 2  # as after a kill -9
    assert judging(run).trial({"person": "bob", "kind": "real"})["trial"] == 1


def test_the_error_counts_generated_images_alone(run):
    page = judging(run)
    for number in range(1, 21):
        answer(page, number, 0, "class")  # "no" to all
    counts = tally(page.judged, "class")
    assert counts.judged + counts.controls == 20
    assert (counts.wrong, counts.rate, counts.controls_wrong) == (counts.judged, 1.0, counts.controls)
    assert tally(page.judged, "real").judged == 0


def test_200_judgements_know_an_even_chance_to_seven_points():
    share, low, high = wilson(100, 200)
    assert (share, round(high - low, 3)) == (0.5, 0.137)
    # The interval's ends are where the score test is at its limit: (p - p0)^2 = z^2 p0 (1 - p0) / n.
    assert (share - low) ** 2 == pytest.approx(1.959963984540054**2 * low * (1 - low) / 200)
    assert wilson(0, 5)[1] == pytest.approx(0.0, abs=1e-12)
    assert all(math.isnan(value) for value in wilson(0, 0))


def test_the_report_has_what_people_judged_whenever_they_did(tmp_path):
    run = make_run(tmp_path, rounds=2)
    page = judging(run)
    wrong = [page._trials.trial("ann", "real", n).sides.index(n <= 3) for n in range(1, 11)]
    for number, choice in enumerate(wrong, start=1):
        answer(page, number, choice)
    record = collect(run)
    line = record.measured[-1][1].score("human_error")
    assert (line.value, line.samples, line.note) == (0.3, 10, "95%: 11 to 60%, by 1 person")
    assert record.measured[0][1].score("human_error") is None
    assert ("Taken for real by people", "30.0%") in [(tile.name, tile.value) for tile in tiles(record)]


def test_what_people_judged_is_a_metric_of_the_round_that_a_goal_can_follow(tmp_path):
    run = make_run(tmp_path, rounds=2)
    before = read_result(run, 2)
    assert before.value("human_error") is None
    page = judging(run)
    for number in range(1, 11):
        answer(page, number, page._trials.trial("ann", "real", number).sides.index(number <= 3))
    found = read_result(run, 2)
    assert (found.value("human_error"), found.value("human_class_error")) == (0.3, None)
    assert read_result(run, 1).value("human_error") is None, "another round was judged"
    score = next(score for score in found.metrics["scores"] if score["name"] == "human_error")
    assert score.keys() == Score("fid", 1.0, "inception", "", 1, 1).to_json().keys()
    low, high = wilson(3, 10)[1:]
    assert score["error"] == pytest.approx((high - low) / 2 / 1.959963984540054)
    assert (score_title("human_error"), is_share("human_error")) == ("Taken for real by people", True)
    config = make_config({"stop": {"goal": {"metric": "human_error", "value": 0.3}}})
    better = find_score("human_error", config.evaluate, "stop.goal.metric").better
    stop = decide_stop(config, "human_error", better, [found.value("human_error")], 2, 10, 90)
    assert stop is not None
    assert stop.reason == "goal"

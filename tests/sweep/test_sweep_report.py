"""The page of a sweep, in whatever state the sweep is."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import made_sweep
import pytest
from made_sweep import SPACE, asha, results_of, trial

from distal.sweep import page
from distal.sweep.report import render, write_sweep_report
from distal.sweep.results import Results
from distal.sweep.trials import State, Trial

MARGIN, BADGE = {"query.strategy": "margin"}, {"query.strategy": "badge"}
TWO = {"query.strategy": ["margin", "badge"]}


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distal.sweep.importance._TREES", 50)  # of 200, which take a second


def _without_values(trials: list[Trial]) -> list[Trial]:
    return [replace(t, curve=tuple(replace(p, value=None, objective=1e12, scores={}) for p in t.curve)) for t in trials]


def _pair(
    folder: Path, first: tuple[float, ...], second: tuple[float, ...], state: State = "finished", **options: str
) -> Results:
    """Return a sweep of two points with these objectives, one a seed; the state is the second's."""
    trials = [trial(MARGIN, end, seed, start=end) for seed, end in enumerate(first)]
    rounds = 2 if state == "stopped" else 6
    trials += [trial(BADGE, end, seed, state, rounds, start=end) for seed, end in enumerate(second)]
    return results_of(trials, folder, TWO, seeds=list(range(len(first))), **options)


STATES: dict[str, Callable[[Path], Results]] = {
    "no trial": lambda folder: results_of([], folder),
    "one trial": lambda folder: results_of([trial(MARGIN, 2.0)], folder),
    "no round": lambda folder: results_of([trial(MARGIN, 2.0, 0, "unfinished", rounds=0)], folder),
    "none finished": lambda folder: results_of([trial(MARGIN, 2.0, 0, "unfinished", rounds=1)], folder),
    "all failed": lambda folder: asha(folder, 5, failed=5),
    "all failed at once": lambda folder: results_of([trial(MARGIN, 2.0, 0, "failed", rounds=0)], folder),
    "no values": lambda folder: results_of(_without_values(asha(folder, 9).trials), folder),
    "one seed": lambda folder: asha(folder),
    "three seeds": lambda folder: asha(folder, seeds=(0, 1, 2), failed=2, unfinished=2),
    "200 trials": lambda folder: asha(folder, 200),
    "no early stopping": lambda folder: asha(folder, early_stop={"scheduler": "none"}),
    "more is better": lambda folder: _pair(folder, (0.9,), (0.8,), metric="accuracy"),
    "a distance of zero": lambda folder: _pair(folder, (0.0,), (0.0,)),
    "a distance below zero": lambda folder: _pair(folder, (-0.1, 0.1), (0.2, 0.3), metric="kd_pool-cnn"),
    "only numbers": lambda folder: results_of(
        [trial({"train.steps": n}, float(n)) for n in (1, 2)], folder, {"train.steps": {"randint": [1, 9]}}
    ),
    "ten keys": lambda folder: results_of(
        [trial({f"train.k{i}": 1.0 for i in range(10)}, 2.0)],
        folder,
        {f"train.k{i}": {"uniform": [0, 2]} for i in range(10)},
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_the_page_is_made_in_every_state(tmp_path: Path, state: str) -> None:
    html = render(STATES[state](tmp_path))
    assert html.rstrip().endswith("</html>")
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b|1,000,000,000,000|1e\+?12", html), "a value that is none"
    assert "<script" not in html
    assert "http://" not in html
    assert "https://" not in html


def test_it_is_written_beside_the_trials(tmp_path: Path) -> None:
    uri = write_sweep_report(asha(tmp_path))
    assert uri == str(tmp_path / "digits" / "report.html")
    assert Path(uri).read_text().startswith("<!doctype html>")


def test_the_same_results_make_the_same_page(tmp_path: Path) -> None:
    assert render(asha(tmp_path)) == render(asha(tmp_path))


def test_the_lead_says_by_how_much_and_that_seeds_overlap(tmp_path: Path) -> None:
    lead = page.lead(_pair(tmp_path, (2.0, 4.0), (3.0, 5.0)))
    assert "Best is strategy margin: Fréchet distance (pool-cnn) 3, mean of 2 seeds" in lead
    assert "25.0% below the next, strategy badge (4, mean of 2 seeds)" in lead
    assert "Over 2 seeds, in pairs, that may be chance (95% interval" in lead
    assert "were it so, it takes about 4 seeds to tell." in lead


def test_the_lead_says_what_the_seeds_tell_in_pairs_and_how_many_it_takes(tmp_path: Path) -> None:
    lead = page.lead(_pair(tmp_path, (2.0, 4.0, 1.0), (2.5, 4.9, 1.3)))
    assert "Over 3 seeds, in pairs, the two are told apart: 95% interval of their ratio 0.7" in lead
    lead = page.lead(_pair(tmp_path, (2.0, 2.1), (3.0, 5.0)))
    assert re.search(r"may be chance \(95% interval of their ratio [\d.e-]+ to [\d.]+\); were it so, it takes", lead)


def test_one_seed_claims_nothing(tmp_path: Path) -> None:
    assert "One seed cannot tell a better point from a lucky one." in page.lead(_pair(tmp_path, (2.0,), (3.0,)))


def test_a_share_is_told_in_points_and_more_is_better(tmp_path: Path) -> None:
    lead = page.lead(_pair(tmp_path, (0.90, 0.92, 0.91), (0.80, 0.815, 0.815), metric="accuracy"))
    assert "91.0%, mean of 3 seeds, 10 percentage points above the next" in lead
    assert "told apart: 95% interval of the gap 8.8 to 11 percentage points." in lead


def test_a_point_that_was_given_up_is_not_compared_at_equal_labels(tmp_path: Path) -> None:
    lead = page.lead(_pair(tmp_path, (2.0, 2.1), (1.0, 1.1), "stopped"))
    assert "Best is strategy margin" in lead
    assert "No other point came to its end; the next, strategy badge, stood at 1.05 after 2 rounds." in lead


def test_without_an_end_there_is_no_best(tmp_path: Path) -> None:
    results = results_of([trial(MARGIN, 2.0, 0, "unfinished", rounds=1, start=2.0)], tmp_path)
    assert page.lead(results).startswith("No point has come to its end. In front is strategy margin")
    assert page.lead(results).endswith("after 1 round. No other point has a value to compare it with.")
    assert page.status(results) == ("open", "1 trial unfinished")


def test_without_a_value_the_states_are_told(tmp_path: Path) -> None:
    assert page.lead(asha(tmp_path, 5, failed=5)).endswith("of 5 trials, 5 failed.")


def test_seeds_that_are_still_missing_are_told(tmp_path: Path) -> None:
    results = results_of([trial(MARGIN, 2.0)], tmp_path, TWO, seeds=[0, 1, 2])
    assert page.warnings(results) == ["The best point was tried under 1 of 3 seeds so far."]


def test_tiles_count_trials_and_compute(tmp_path: Path) -> None:
    tiles = {tile.name: tile for tile in page.tiles(_pair(tmp_path, (2.0, 2.2), (3.0, 3.1), "stopped"))}
    assert tiles["Trials"].value == "4"
    assert tiles["Trials"].detail == "2 points tried"
    assert (tiles["Finished"].value, tiles["Stopped"].value, tiles["Failed"].value) == ("2", "2", "0")
    assert tiles["Compute spent"].value == "8 min 00 s"
    assert tiles["Compute saved"].value == "33.3%"
    assert tiles["Best Fréchet distance"].detail == "2 to 2.2"


def test_the_ranking_names_the_values_of_each_key(tmp_path: Path) -> None:
    space = {"query.strategy": ["margin"], "train.steps": {"randint": [1, 9], "when": {"query.strategy": "margin"}}}
    row = page.ranking_rows(results_of([trial(MARGIN, 2.0, 0, "stopped", rounds=2, start=2.0)], tmp_path, space))[0]
    assert (row.values, row.mean, row.range, row.rounds, row.state) == (("margin", "not set"), "2", "–", "2", "stopped")


def test_failed_trials_are_told_with_their_reason(tmp_path: Path) -> None:
    results = results_of([trial(MARGIN, 2.0, 3, "failed", 2, reason="CUDA out of memory <here>")], tmp_path)
    html = render(results)
    assert "CUDA out of memory &lt;here&gt;" in html
    assert results.trials[0].name in html


def test_the_best_configuration_can_be_run(tmp_path: Path) -> None:
    folder = tmp_path / "my sweeps"
    html = render(_pair(folder, (2.0,), (3.0,)))
    assert f"distal run &#39;{folder / 'digits' / 'best.yaml'}&#39;" in html
    assert "query.strategy: margin" in html


def test_settings_and_space_are_told(tmp_path: Path) -> None:
    html = render(asha(tmp_path, 3, hours=2.5))
    for text in ("asha, grace 2, reduction", "0.0001 to 0.01", "2 to 8 in steps of 2", "only where query.strategy is"):
        assert text in html
    assert "2.5 h" in html
    assert all(f"<code>{key}</code>" in html for key in SPACE)


@pytest.mark.parametrize("value", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "$x^2$"])
def test_what_a_user_wrote_is_escaped(tmp_path: Path, value: str) -> None:
    trials = [trial({"train.augment": value}, 2.0), trial({"train.augment": "plain"}, 3.0)]
    trials.append(trial({"train.augment": f"other {value}"}, 3.0, 1, "failed", reason=value))
    html = render(results_of(trials, tmp_path, {"train.augment": [value, "plain"]}))
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("alert(1)" if "alert" in value else value) >= 4


def test_long_rankings_are_cut(tmp_path: Path) -> None:
    trials = [trial({"train.steps": n}, float(n)) for n in range(1, 131)]
    html = render(results_of(trials, tmp_path, {"train.steps": {"randint": [1, 500]}}))
    assert "and 30 more points in <code>results.parquet</code>" in html


def test_the_made_sweep_is_what_it_says(tmp_path: Path) -> None:
    states = {trial.state for trial in made_sweep.asha(tmp_path, failed=1, unfinished=1).trials}
    assert states == {"finished", "stopped", "failed", "unfinished"}

"""What the page says of the eyes: who is believed, and why."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from digits_run import DIGITS, make_run

from distal.errors import RunError
from distal.features.competition import Verdict
from distal.report.collect import collect
from distal.report.eyes import eyes_view, summary
from distal.report.write import write_report
from distal.run.directory import RunDirectory, round_path


def believe(run: RunDirectory, round: int, classifier: Any, **scores: float) -> None:
    """Write into a round's metrics.json who is believed after it, as `distal.rounds` does."""
    metrics = json.loads(run.read(round_path(round, "metrics.json")))
    metrics["classifier"] = classifier
    template = next(s for s in metrics["scores"] if s["name"] == "accuracy")
    metrics["scores"] += [{**template, "name": name, "value": value} for name, value in scores.items()]
    run.write(round_path(round, "metrics.json"), json.dumps(metrics).encode())


def verdict(name: str, **losses: float) -> dict[str, Any]:
    return {
        "classifier": name,
        "losses": losses,
        "temperatures": {"probe": 1.5, "head": 0.7},
        "reason": f"{name}: for <b>this</b>",
    }


def run_with_eyes(tmp_path: Path) -> RunDirectory:
    run = make_run(tmp_path, rounds=3)
    believe(run, 1, verdict("probe"), probe_accuracy=0.5)
    believe(run, 2, verdict("probe", probe=0.41, head=0.6), probe_accuracy=0.6)
    believe(run, 3, verdict("head", probe=0.5, head=0.25), probe_accuracy=0.7, probe_accuracy_calibration=0.043)
    return run


def test_the_page_says_who_is_believed_after_each_round_and_why(tmp_path: Path) -> None:
    run = run_with_eyes(tmp_path)
    write_report(run, None, DIGITS)
    section = run.read("report.html").decode().partition('<section id="eyes">')[2].partition("</section>")[0]
    assert "The frozen network pixels looks at each of the 1,797 images once (the pool's own pixels, 8 px" in (
        section.replace("&#39;", "'")
    )
    assert "Believed: <b>probe (after rounds 1 to 2), head (since round 3)</b>" in section
    last = re.findall(r"<tr>.*?</tr>", section, re.S)[-1]
    cells = re.findall(r"<td[^>]*>(?:<b>)?(.*?)(?:</b>)?</td>", last)
    assert cells[:2] == ["3", "29"]
    assert cells[2:5] == ["head", "probe 0.5, head 0.25", "probe 1.5, head 0.7"]
    assert cells[5:] == ["70.0%", "95.0%", "4.3%", "head: for &lt;b&gt;this&lt;/b&gt;"]


@pytest.mark.parametrize("absent", ["never written", None])
def test_where_the_head_alone_classifies_and_in_older_runs_there_is_no_such_section(
    tmp_path: Path, absent: str | None
) -> None:
    run = make_run(tmp_path, rounds=1)
    if absent is None:
        believe(run, 1, None)
    assert eyes_view(collect(run)) is None
    write_report(run, None, DIGITS)
    assert b"Who classifies" not in run.read("report.html")


@pytest.mark.parametrize("damage", [5, {}, {"classifier": 1, "losses": {}, "temperatures": {}, "reason": ""}], ids=str)
def test_an_entry_that_distal_never_wrote_is_named(tmp_path: Path, damage: Any) -> None:
    run = make_run(tmp_path, rounds=1)
    believe(run, 1, damage)
    with pytest.raises(RunError, match=r"metrics\.json"):
        collect(run)


def test_one_who_is_always_believed_is_said_once() -> None:
    always = Verdict("probe", {}, {}, "")
    assert summary([(1, always), (2, always)]) == "probe in every round"

"""What is advised would be accepted."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from digits_run import make_run

from distal.config import Config
from distal.report.advice import changes_to_go_on, next_steps, take_up
from distal.report.collect import collect
from distal.run.given import GIVEN, facts_of, given_labels, to_parquet


def test_a_run_goes_on_by_resume_or_by_the_script_that_holds_its_strategy_or_oracle() -> None:
    assert take_up(Config(), "/a b/run", "rounds=9").command == "distal resume '/a b/run' rounds=9"
    own = take_up(Config(query={"strategy": "mine"}, oracle={"kind": "callable"}), "/r")
    assert own.command == ""
    assert "run the script that began it again: its oracle and strategy came from there" in own.text


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("goal", ["stop.fid=null", "rounds=10"]),
        ("patience", ["stop.patience=null", "rounds=10"]),
        ("budget", ["stop.labels=null", "rounds=10"]),
        ("pool", None),
    ],
)
def test_an_ended_run_is_told_what_would_not_end_it_again(reason: str, changes: list[str] | None) -> None:
    assert changes_to_go_on(Config(stop={"labels": 30}), reason) == changes


def test_classes_of_few_confirmed_images_are_named_with_the_way_to_see_whether_their_images_help(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path, rounds=2, batch=250)
    record = collect(run)
    sentence = next(s for s in next_steps(record) if "confirmed images" in s.text)
    few = {str(label): n for label, n in record.confirmed.items() if n < 50}
    assert 0 < len(few) < 10, "the case has both kinds"
    assert all((f"{name} ({few[name]})" in sentence.text) == (name in few) for name in few)
    assert sentence.command.startswith("distal prove ")


def test_labels_that_a_run_began_with_are_confirmed_images_too(tmp_path: Path) -> None:
    run = make_run(tmp_path, rounds=1)
    given = given_labels(np.arange(1000, 1060), np.full(60, 3))
    run.write(GIVEN, to_parquet(given))
    content = yaml.safe_load(run.read("config.yaml"))
    content["resolved"]["given"] = facts_of(given)
    before = collect(run).confirmed
    run.write("config.yaml", yaml.safe_dump(content).encode())
    after = collect(run).confirmed
    assert after[3] == before[3] + 60
    assert "3 (" not in next(s.text for s in next_steps(collect(run)) if "confirmed images" in s.text)

"""What is advised would be accepted."""

import pytest

from distal.config import Config
from distal.report.advice import changes_to_go_on, take_up


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

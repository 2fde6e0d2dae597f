import json
import logging

import pytest

from distal import logs
from distal.errors import ConfigError


@pytest.fixture(autouse=True)
def _as_before() -> object:
    made = logging.getLogRecordFactory()
    place = dict(logs._place)
    yield
    logging.setLogRecordFactory(made)
    logs._place.update(place)


def record(message: str) -> logging.LogRecord:
    return logging.getLogRecordFactory()("distal.rounds", logging.INFO, "rounds.py", 1, message, (), None)


def test_every_record_carries_the_run_and_the_round_it_was_made_in() -> None:
    logs.label_records("scans", 3)
    third = record("a")
    logs.label_records("scans", 4)
    fourth = record("b")
    lines = [json.loads(logs.JsonLines().format(r)) for r in (third, fourth)]
    assert [(line["run"], line["round"], line["message"]) for line in lines] == [("scans", 3, "a"), ("scans", 4, "b")]
    assert lines[0]["levelname"] == "INFO"
    assert lines[0]["name"] == "distal.rounds"


def test_a_record_is_one_line_whatever_its_message_and_error() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        failed = logging.LogRecord("distal", logging.ERROR, "x.py", 1, "a\nb", (), (ValueError, error, None))
    line = logs.JsonLines().format(failed)
    assert "\n" not in line
    assert "two\nlines" in json.loads(line)["exc_text"]


def test_the_format_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTAL_LOG_FORMAT", raising=False)
    assert not logs.as_json()
    monkeypatch.setenv("DISTAL_LOG_FORMAT", "json")
    assert logs.as_json()
    monkeypatch.setenv("DISTAL_LOG_FORMAT", "yaml")
    with pytest.raises(ConfigError, match="Known: text, json"):
        logs.as_json()

"""Each row becomes one task of Label Studio, whatever is killed when; answers are taken as they come."""

import json

import numpy as np
import pytest
from label_studio_fake import LEGACY, PERSONAL, FakeLabelStudio, serving
from pool_of_rows import CLASSES, PoolOfRows

from distal.errors import ConfigError, OracleError
from distal.oracle import label_studio_server
from distal.oracle.annotate import annotate
from distal.oracle.classes import Classes
from distal.oracle.label_studio import LabelStudioConfig, LabelStudioOracle
from distal.progress import ignore
from distal.run.ledger import Ledger, Query
from distal.run.predictions import Predictions, write_predictions


@pytest.fixture
def fake():
    return FakeLabelStudio()


@pytest.fixture
def url(fake):
    with serving(fake) as url:
        yield url


def oracle(run, url, token=LEGACY, names=CLASSES, **more):
    return LabelStudioOracle(
        run, PoolOfRows(), Classes(names, {}), LabelStudioConfig(url=url, **more), 50_000_000, token
    )


def rows(fake):
    return [task["data"]["row_id"] for task in fake.tasks]


def test_tasks_carry_row_score_and_suggestion_and_a_place_of_their_image(run, query, fake, url):
    probs = np.array([[0.1, 0.7, 0.2]] * 4, np.float32)
    write_predictions(run, 1, Predictions(query.row_ids, probs, None))
    oracle(run, url).submit(query)
    assert rows(fake) == [7, 3, 5, 12]
    first = fake.tasks[0]
    assert first["data"]["image"] == "/data/upload/1/ab12cd34-7.png"
    assert first["predictions"][0]["score"] == pytest.approx(0.7)
    assert first["predictions"][0]["result"][0]["value"]["choices"] == ["dog"]
    assert fake.projects[0]["show_collab_predictions"] is False


def test_answers_are_taken_as_they_come_and_kept_with_person_and_time(run, query, fake, url):
    made = oracle(run, url)
    assert "waiting for 4 labels: answer at" in annotate(Ledger(run), made, query, ignore)
    fake.label(7, "Löwe", person=2)
    fake.label(5, skipped=True)
    assert "waiting for 2 labels" in annotate(Ledger(run), made, query, ignore)
    fake.label(3, "cat", at="2026-11-28T12:00:05Z")
    fake.label(3, "dog", at="2026-11-28T12:00:09Z")  # by a second annotator: the first counts
    fake.label(12, "dog")
    assert annotate(Ledger(run), oracle(run, url), query, ignore) is None
    answers = [(a.row_id, a.label, a.annotator) for a in Ledger(run).answers(1)]
    assert answers == [
        (7, 2, "label-studio:2"),
        (3, 0, "label-studio:1"),
        (5, None, "label-studio:1"),
        (12, 1, "label-studio:1"),
    ]


@pytest.mark.parametrize("loses_file", [False, True])
def test_a_kill_between_the_server_and_the_disk_makes_nothing_twice(run, query, fake, url, loses_file, monkeypatch):
    monkeypatch.setattr("distal.oracle.label_studio.IMPORT", 2)
    fake.dies_after = 1
    with pytest.raises(OracleError, match="refuses POST"):
        oracle(run, url).submit(query)  # the server took both imports, and answered the first alone
    fake.dies_after = None
    if loses_file:
        run.delete("label-studio.json")
    oracle(run, url).submit(query)
    oracle(run, url).submit(query)
    assert rows(fake) == [7, 3, 5, 12]
    assert len(fake.projects) == 1
    assert json.loads(run.read("label-studio.json"))["project"] == 1


def test_tasks_of_many_pages_and_of_other_rounds_are_told_apart(run, query, fake, url, monkeypatch):
    monkeypatch.setattr(label_studio_server, "PAGE", 2)
    oracle(run, url).submit(query)
    later = Query(2, np.array([40, 41, 42]), np.zeros(3, np.float32), "margin")
    Ledger(run).write_query(later)
    oracle(run, url).submit(later)
    oracle(run, url).submit(later)
    assert rows(fake) == [7, 3, 5, 12, 40, 41, 42]
    fake.label(7, "cat")
    fake.label(42, "dog")
    (answers,) = oracle(run, url).collect(later, Ledger(run).pending(later))
    assert [(answer.row_id, answer.label) for answer in answers] == [(42, 1)]


def test_images_that_label_studio_finds_itself_are_not_uploaded(run, query, fake, url):
    oracle(run, url, images="https://scans.example/{path}").submit(query)
    assert fake.tasks[0]["data"]["image"] == "https://scans.example/img/7.png"
    assert fake.uploads == []


def test_a_personal_token_is_exchanged_again_when_its_minutes_are_over(run, query, fake, url):
    made = oracle(run, url, token=PERSONAL)
    made.submit(query)
    fake.access = "head.access-2.sign"
    made.submit(query)
    assert [path for _, path in fake.requests].count("/api/token/refresh") == 2


def test_what_was_answered_wrongly_is_said_and_the_rest_is_kept(run, query, fake, url):
    made = oracle(run, url)
    made.submit(query)
    fake.label(7, "lion")
    fake.label(3)
    fake.label(12, "cat")
    with pytest.raises(OracleError, match=r"not taken: task 501: row 3 was submitted with 0 classes.*\(and 1 more\)"):
        annotate(Ledger(run), made, query, ignore)
    assert [answer.row_id for answer in Ledger(run).answers(1)] == [12]


def test_a_server_that_refuses_or_is_away_is_said_in_words(run, query, fake, url, monkeypatch):
    monkeypatch.setattr(label_studio_server, "PAUSE_S", 0.0)
    with pytest.raises(OracleError, match=r"refuses the token in LABEL_STUDIO_API_KEY \(401\)"):
        oracle(run, url, token="wrong").submit(query)
    with pytest.raises(OracleError, match=r"at http://127\.0\.0\.1:9 cannot be reached"):
        oracle(run, "http://127.0.0.1:9").submit(query)


def test_a_project_that_asks_for_other_classes_is_refused(run, query, fake, url):
    oracle(run, url, names=("cat", "dog")).submit(query)
    with pytest.raises(ConfigError, match=r"projects/1 lacks the choice 'Löwe' of a control 'label'"):
        oracle(run, url, project=1).submit(query)

"""Rounds that do not train, by `train.every`: they ask and answer at once, and the last model stands until the next."""

import shutil
from collections.abc import Callable
from itertools import groupby
from typing import cast

import pytest
from round_case import Run, contents

from distal.checkpoints import open_generator
from distal.cli.status import describe_status
from distal.config import Config
from distal.data.few import FewRows
from distal.driver.reports import Reports
from distal.errors import RunError
from distal.progress import Event
from distal.report.collect import collect
from distal.report.page import curves, lead
from distal.run.directory import RunDirectory
from distal.run.ledger import Ledger
from distal.run.results import read_result
from distal.stopping import decide_stop


@pytest.fixture
def config(small_config: Callable[..., Config]) -> Callable[[], Config]:
    """Rounds 2 and 4 train, and 5, which the run ends with."""
    query = {"batch": 5, "strategy": "badge"}
    return lambda: small_config(rounds=5, query=query, train={"every": 2, "steps": 2}, evaluate={"samples": 32})


def test_labels_are_asked_without_a_training_and_a_run_that_was_cut_anywhere_is_resumed_to_the_same_files(
    config: Callable[[], Config],
) -> None:
    run = Run(config())
    assert run.go().message == "the label budget is spent: 25 of 25"
    heard = [(event.round, event.phase) for event in run.events if event.phase in ("acquire", "train", "commit")]
    assert [phase for round, phase in heard if round == 3] == ["acquire", "acquire", "commit"]
    first_trained = next(place for place, (_, phase) in enumerate(heard) if phase == "train")
    assert (2, "acquire") in heard[:first_trained], "a batch waited for a training"
    assert [round for round, _ in groupby(round for round, phase in heard if phase == "train")] == [2, 4, 5]

    results = [read_result(run.directory, round) for round in range(1, 6)]
    assert [result.trained for result in results] == [False, True, False, True, True]
    assert [result.metrics["steps"] for result in results] == [0, 2, 2, 4, 6]
    assert [result.distance is not None for result in results] == [result.trained for result in results]
    assert all(result.score("probe_accuracy") is not None for result in results)
    strategies = [Ledger(run.directory).read_query(round).strategy for round in range(1, 6)]  # type: ignore[union-attr]
    assert strategies == ["random", *["badge"] * 4]
    checkpoints = [path.parent.name for path in sorted(run.folder.glob("rounds/*/checkpoint"))]
    assert checkpoints == ["0002", "0004", "0005"]
    assert [open_generator(run.directory, round).round for round in (2, 3, 4, 5)] == [2, 2, 4, 5]
    with pytest.raises(RunError, match=r"no round up to 1 has trained \(train\.every=2\)"):
        open_generator(run.directory, 1)

    unbroken = contents(run.folder)
    for lost, next_step in (
        (["0005", "0004/COMMITTED", "0004/metrics.json", "0004/checkpoint"], "round 4: train"),
        (["0005", "0004", "0003/COMMITTED", "0003/metrics.json"], "round 3: measure the probe"),
    ):
        for name in lost:
            path = run.folder / "rounds" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        resumed = Run(config())
        assert f"next       {next_step}" in describe_status(resumed.directory)
        resumed.go()
        assert contents(resumed.folder) == unbroken

    record = collect(resumed.directory)
    assert [round for round, _ in record.trained] == [2, 4, 5]
    assert "25 labels in 5 rounds" in lead(record)
    assert len(curves(record)) == 2


def test_a_strategy_that_sees_through_the_model_waits_for_its_first_training(
    small_config: Callable[..., Config],
) -> None:
    query = {"batch": 5, "strategy": "realism"}
    run = Run(small_config(rounds=3, query=query, train={"every": 2, "steps": 1}, evaluate={"samples": 32}))
    run.go()
    asked = [Ledger(run.directory).read_query(round).strategy for round in range(1, 4)]  # type: ignore[union-attr]
    assert asked == ["random", "random", "realism"]


def test_patience_and_goal_look_at_the_rounds_that_trained(small_config: Callable[..., Config]) -> None:
    config = small_config(rounds=20, stop={"patience": 2, "fid": 3.0}, train={"every": 3})

    def stop(values: list[float | None], rounds: int) -> str | None:
        decided = decide_stop(config, "distance", "lower", values, rounds, 0, 9)
        return None if decided is None else decided.message

    assert stop([9.0, 8.0], 8) is None
    assert stop([9.0, 9.0, 9.0], 11) == "the distance did not fall by 1.0% in 2 trainings in a row"
    assert stop([9.0, 2.0], 7) == "the distance 2 reached the goal 3"
    assert stop([9.0], 20) == "all 20 rounds are done"


def test_a_schedule_ends_with_the_last_training_and_not_with_the_last_round(
    small_config: Callable[..., Config],
) -> None:
    trainings = [small_config(rounds=7, train={"every": every}).planned_trainings for every in (1, 3, 9)]
    assert trainings == [7, 3, 1]


def test_the_page_of_a_run_at_work_is_written_when_the_next_question_is_there_and_not_before(
    monkeypatch: pytest.MonkeyPatch, small_config: Callable[..., Config]
) -> None:
    config = small_config()
    reports = Reports(RunDirectory.open(config.storage, config.name), cast(FewRows, None), ())
    heard: list[str | Event] = []
    monkeypatch.setattr(reports, "at_work", lambda: heard.append("report"))
    events = [Event(round, phase) for round in (1, 2) for phase in ("acquire", "annotate", "annotate", "commit")]
    listen = reports.beside(heard.append)
    for event in events:
        listen(event)
    assert heard == [*events[:6], "report", *events[6:]]

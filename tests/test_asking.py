"""Ask and tell: a script or a file answers when it likes, and the run is the one that a function would have had."""

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from distal import ActiveLearner, Config, ConfigError, Event, OracleError, RunError
from distal.cli.tasks import export_tasks, import_labels
from distal.data.digits import load_digits
from distal.run.directory import RunDirectory

Make = Callable[..., Config]
TOLD = {"kind": "told"}


@pytest.fixture(autouse=True)
def _no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question would write the run's page, which takes longer than the question."""
    monkeypatch.setattr("distal.report.write.write_report", lambda *arguments: "")


@pytest.fixture(scope="module")
def truth() -> dict[int, int]:
    return dict(enumerate(load_digits()[1].tolist()))


def written(run: RunDirectory, *files: str) -> list[bytes]:
    return [run.read(f"rounds/{round:04d}/{file}") for round in run.committed() for file in files]


def scores(learner: ActiveLearner) -> list[object]:
    trees = [json.loads(data) for data in written(learner.run_directory, "metrics.json")]
    return [(tree["scores"], tree["losses"]) for tree in trees]


def test_ask_and_tell_over_many_processes_is_the_run_that_a_function_answers(
    small_config: Make, truth: dict[int, int], tmp_path: Path
) -> None:
    """Each question is answered by another object, as after a kill: one by the script, in parts, one by a file."""
    config = small_config(oracle=TOLD)
    asked = ActiveLearner(config).query()
    assert asked is not None
    assert (asked.round, len(asked), asked[0].image.shape) == (1, 10, (8, 8))
    first, rest = asked.row_ids[:4], asked.row_ids[4:]
    ActiveLearner(config).answer(first, [truth[row] for row in first.tolist()])
    again = ActiveLearner(config)
    more = again.query()
    assert more is not None
    assert more.row_ids.tolist() == rest.tolist()
    with pytest.raises(OracleError, match=r"row -1: no round has asked for it"):
        again.answer([*rest, -1], [0] * (len(rest) + 1))
    again.answer(rest, [str(truth[row]) for row in rest.tolist()])
    second = again.query()
    assert second is not None
    assert [result.round for result in again.results_] == [1]

    told, out = again.run_directory, tmp_path / "tasks"
    assert "wrote 10 tasks of round 2" in export_tasks(told, [], str(out), "label-studio", None, suggest=True)
    tasks = json.loads((out / "tasks.json").read_text())
    assert {task["data"]["row_id"] for task in tasks} == set(second.row_ids.tolist())
    assert all(task["predictions"][0]["score"] > 0 for task in tasks)
    with pytest.raises(ConfigError, match="is there already, and may hold answers"):
        export_tasks(told, [], str(out), "label-studio", None, suggest=False)
    rows = [{**task["data"], "label": str(truth[task["data"]["row_id"]])} for task in tasks]
    (tmp_path / "back.json").write_text(json.dumps([*rows, {**rows[0], "row_id": 3}]))
    with pytest.raises(OracleError, match=r"10 answers kept \(0 decline.*1 refused: task 11: row 3: no round has"):
        import_labels(told, str(tmp_path / "back.json"), "ann")
    with pytest.raises(RunError, match="no label is awaited"):
        export_tasks(told, [], str(tmp_path / "none"), "csv", None, suggest=False)
    assert ActiveLearner(config).query() is None

    called = ActiveLearner(small_config(name="called"), oracle=lambda item: truth[item.row_id])
    called.run()
    assert scores(again) == scores(called)
    assert written(told, "query.parquet", "samples.png") == written(
        called.run_directory, "query.parquet", "samples.png"
    )


def test_an_oracle_that_answers_by_itself_is_not_asked_for(small_config: Make) -> None:
    with pytest.raises(ConfigError, match=r"oracle\.kind=dataset answers by itself"):
        ActiveLearner(small_config()).query()


def test_rounds_beside_an_event_loop_leave_it_free_and_the_run_as_well_once_it_is_left(small_config: Make) -> None:
    heard: list[str] = []

    def listen(event: Event) -> None:
        heard.append(event.phase)

    learner = ActiveLearner(small_config(), listen=listen)

    async def one_round() -> tuple[int, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        beside = asyncio.create_task(tick())
        async with aclosing(learner.rounds_async()) as rounds:
            result = await anext(rounds)
        beside.cancel()
        return result.round, ticks

    round, ticks = asyncio.run(one_round())
    assert (round, heard[-1], learner.run_directory.committed()) == (1, "end", [1])
    assert ticks > 3
    assert learner.run().reason == "budget"  # the run is free


def test_a_cancelled_task_ends_the_round_at_its_next_step(small_config: Make) -> None:
    training = asyncio.Event()
    steps: list[int] = []

    async def cancelled() -> None:
        loop = asyncio.get_running_loop()

        def listen(event: Event) -> None:
            if event.phase == "train":
                steps.append(event.done)
                loop.call_soon_threadsafe(training.set)

        learner = ActiveLearner(small_config(train={"steps": 100_000}), listen=listen)

        async def all_rounds() -> None:
            async for _ in learner.rounds_async():
                pass

        task = asyncio.create_task(all_rounds())
        await training.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await loop.shutdown_asyncgens()
        assert learner.run_directory.committed() == []
        with learner.run_directory.lock("driver"):  # nobody holds it any more
            pass

    asyncio.run(cancelled())
    assert np.max(steps) < 50_000

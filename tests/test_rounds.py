"""The round in one process, without Ray: phases, files, resuming at every phase, reasons to stop."""

import json
import shutil
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from round_case import Ids, Run, Shards, contents

from distal.cli.status import describe_status
from distal.config import Config
from distal.data import Skipped, held_out
from distal.driver.preparation import Preparation
from distal.errors import OracleError, StorageError
from distal.run.directory import RunDirectory
from distal.run.ledger import Answer, Ledger, Query
from distal.train import TrainingRows

IN_ROUND = ["COMMITTED", "metrics.json", "samples.png", "checkpoint", "labels.parquet", "query.parquet"]


@pytest.fixture
def run(small_config: Callable[..., Config]) -> Run:
    return Run(small_config())


def test_a_run_spends_its_budget_and_leaves_every_file_of_every_round(run: Run) -> None:
    outcome = run.go()
    assert (outcome.kind, outcome.reason) == ("stopped", "budget")
    for number in (1, 2):
        names = {p.name for p in (run.folder / f"rounds/{number:04d}").iterdir()}
        expected = {"query.parquet", "labels.parquet", "checkpoint", "samples.png", "metrics.json", "COMMITTED"}
        assert names - {"predictions.parquet"} == expected
    metrics = json.loads((run.folder / "rounds/0002/metrics.json").read_text())
    assert (metrics["labels"], metrics["asked"], metrics["steps"]) == (20, 20, 8)
    goal = next(s for s in metrics["scores"] if s["name"] == metrics["goal"])
    assert {"value", "extractor", "hash", "samples", "reference_samples"} <= set(goal)


def test_no_row_is_asked_twice_and_none_is_held_out(run: Run) -> None:
    run.go()
    asked = np.concatenate([Ledger(run.directory).read_query(n).row_ids for n in (1, 2)])  # type: ignore[union-attr]
    assert len(set(asked.tolist())) == 20
    assert not held_out(asked, run.plan.holdout).any()


@pytest.mark.parametrize(
    ("lost", "next_step"),
    [
        (["COMMITTED"], "evaluate"),
        (["COMMITTED", "metrics.json"], "evaluate"),
        (["COMMITTED", "metrics.json", "samples.png"], "evaluate"),
        (["COMMITTED", "metrics.json", "samples.png", "checkpoint/manifest.json"], "train"),
        (["COMMITTED", "metrics.json", "samples.png", "checkpoint"], "train"),
        (["COMMITTED", "metrics.json", "samples.png", "checkpoint", "labels.parquet"], "10 of 10 labels"),
        (IN_ROUND, "choose"),
        ([*IN_ROUND, "predictions.parquet"], "choose"),
        ([*IN_ROUND, "predictions.parquet", "../../projection.safetensors"], "choose"),
    ],
    ids=lambda value: value[-1].replace("/", "-") if isinstance(value, list) else "",
)
def test_a_run_that_lost_its_last_phases_says_what_is_next_and_is_resumed_to_the_same_files(
    run: Run, small_config: Callable[..., Config], lost: list[str], next_step: str
) -> None:
    run.go()
    unbroken = contents(run.folder)
    for name in lost:
        path = run.folder / "rounds/0002" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert f"next       round 2: {next_step}" in describe_status(
        RunDirectory.open(str(run.folder.parent), run.folder.name)
    )
    resumed = Run(small_config())
    resumed.go()
    assert contents(resumed.folder) == unbroken


def test_a_waiting_oracle_ends_the_rounds_and_its_answers_are_kept(run: Run) -> None:
    answering = run.oracle

    class Half:
        def submit(self, query: Query) -> None:
            answering.submit(query)

        def collect(self, query: Query, pending: Ids) -> Iterator[list[Answer]]:
            return answering.collect(query, pending[:6])  # type: ignore[no-any-return]

        def waiting(self, query: Query, pending: Ids) -> str:
            return f"waiting for {len(pending)} labels"

    run.oracle = Half()
    outcome = run.go()
    assert (outcome.kind, outcome.message) == ("waiting", "waiting for 4 labels")
    assert [event.phase for event in run.events if not event.round] == []  # no extractor was trained for the question
    assert Ledger(run.directory).count() == 6
    run.oracle = answering
    assert run.go().kind == "stopped"


def test_answers_before_a_failure_of_the_oracle_are_kept_and_not_asked_again(run: Run) -> None:
    answering = run.oracle
    seen: list[int] = []

    class Failing:
        fails = True

        def submit(self, query: Query) -> None:
            answering.submit(query)

        def collect(self, query: Query, pending: Ids) -> Iterator[list[Answer]]:
            for i, row in enumerate(pending):
                if self.fails and i == 3:
                    raise OracleError("the line is dead")
                seen.append(int(row))
                yield from answering.collect(query, pending[i : i + 1])

        def waiting(self, query: Query, pending: Ids) -> str:
            return "waiting"

    run.oracle = Failing()
    with pytest.raises(OracleError, match="the line is dead"):
        run.go()
    assert Ledger(run.directory).count() == 3
    run.oracle.fails = False
    assert run.go().kind == "stopped"
    assert len(seen) == len(set(seen)) == 20


def test_the_listener_hears_the_phases_in_the_order_of_the_picture(run: Run) -> None:
    run.go()
    heard = [e.phase for e in run.events]
    phases = ["acquire", "annotate", "train", "evaluate", "commit"]
    assert [phase for phase, _ in groupby(heard)] == [*phases[:2], "extractor", "reference", *phases[2:], *phases]


def test_the_rounds_are_counted_that_the_label_budget_pays_for(small_config: Callable[..., Config]) -> None:
    assert small_config(rounds=9, stop={"labels": 25}).planned_rounds == 3
    assert small_config(rounds=2).planned_rounds == 2


def test_false_at_a_commit_ends_the_loop_there(run: Run) -> None:
    outcome = run.go(on_commit=lambda result: False)
    assert outcome.kind == "interrupted"
    assert run.directory.committed() == [1]
    assert Ledger(run.directory).count() == 10


def test_a_goal_stops_the_run_and_the_reason_says_both_figures(small_config: Callable[..., Config]) -> None:
    outcome = Run(small_config(stop={"fid": 1e9})).go()
    assert outcome.reason == "goal"
    assert "1e+09" in outcome.message


def test_shards_see_what_an_answer_of_each_class_costs(small_config: Callable[..., Config]) -> None:
    query = {"batch": 10, "cold_start": "per_cost:margin"}
    run = Run(small_config(oracle={"cost": {"3": 1e6}}, query=query, train={"steps": 1}))
    run.go(on_commit=lambda result: False)
    selector = run.shards.shards[0].selector
    assert selector is not None
    assert selector.view.costs.tolist() == [1.0, 1.0, 1.0, 1e6, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert Ledger(run.directory).read_query(1).strategy == "per_cost:margin"  # type: ignore[union-attr]


def test_labels_that_there_are_already_are_trained_on_and_never_asked_nor_counted_as_asked(
    small_config: Callable[..., Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = np.arange(0, 600, 2)
    usable = rows[~held_out(rows, 0.3)].tolist()
    mine = tmp_path / "mine.csv"
    mine.write_text("row_id,label\n" + "".join(f"{row},{row % 10}\n" for row in rows))
    trained_on: list[list[int]] = []

    class Spy(TrainingRows):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            trained_on.append(sorted(self.labeled_ids.tolist()))

    monkeypatch.setattr("distal.learning.TrainingRows", Spy)
    run = Run(small_config(query={"labels": str(mine)}))
    assert run.go().message == "the label budget is spent: 20 of 20"
    asked = Ledger(run.directory).asked().tolist()
    assert not set(asked) & set(usable)
    first = Ledger(run.directory).read_query(1)
    assert first is not None
    assert trained_on == [sorted([*usable, *first.row_ids.tolist()]), sorted([*usable, *asked])]
    metrics = json.loads((run.folder / "rounds/0002/metrics.json").read_text())
    assert (metrics["given"], metrics["labels"], metrics["asked"], metrics["cost"]) == (len(usable), 20, 20, 20.0)

    unbroken = contents(run.folder)
    shutil.rmtree(run.folder / "rounds/0002")
    mine.unlink()  # the run keeps what it was given
    resumed = Run(small_config(query={"labels": str(mine)}))
    resumed.go()
    assert contents(resumed.folder) == unbroken


def test_given_labels_whose_image_cannot_be_read_are_left_out(
    small_config: Callable[..., Config], tmp_path: Path
) -> None:
    one, two = np.flatnonzero(~held_out(np.arange(50), 0.3))[:2].tolist()
    (tmp_path / "mine.csv").write_text(f"row_id,label\n{one},3\n{two},4\n")
    config = small_config(query={"labels": str(tmp_path / "mine.csv")})
    directory = RunDirectory.open(config.storage, config.name)
    plan = Preparation(config, directory).plan(directory, [Skipped(two, "", "holds no bytes")], 100, None)
    assert (plan.given.row_ids.tolist(), plan.given.labels.tolist(), plan.available) == ([one], [3], 99)


def test_a_declined_row_counts_as_asked_and_is_left_out_of_training(run: Run) -> None:
    class Declining:
        def submit(self, query: Query) -> None:
            assert len(query.row_ids) == 10

        def collect(self, query: Query, pending: Ids) -> Iterator[list[Answer]]:
            yield [Answer(int(row), None, "nobody", 0.0) for row in pending]

        def waiting(self, query: Query, pending: Ids) -> str:
            return "waiting"

    run.oracle = Declining()
    assert run.go().reason == "budget"
    metrics = json.loads((run.folder / "rounds/0002/metrics.json").read_text())
    assert (metrics["labels"], metrics["asked"]) == (0, 20)


def test_while_one_class_is_known_rows_are_asked_as_at_the_start_and_not_by_their_number(
    small_config: Callable[..., Config],
) -> None:
    run = Run(small_config(rounds=3, query={"strategy": "entropy"}, classifier="probe"))

    class OneClass:
        def submit(self, query: Query) -> None:
            """Keep nothing."""

        def collect(self, query: Query, pending: Ids) -> Iterator[list[Answer]]:
            yield [Answer(int(row), 3 if query.round == 1 else int(row) % 2, "somebody", 0.0) for row in pending]

        def waiting(self, query: Query, pending: Ids) -> str:
            return "waiting"

    run.oracle = OneClass()
    run.go()
    queries = [Ledger(run.directory).read_query(round) for round in (1, 2, 3)]
    assert [query.strategy for query in queries if query] == ["random", "random", "entropy"]


def test_a_damaged_projection_is_refused_by_name(run: Run, small_config: Callable[..., Config]) -> None:
    run.go(on_commit=lambda result: False)
    file = run.folder / "projection.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(StorageError, match=r"projection\.safetensors is damaged: its digest .*\n.* or delete it"):
        Run(small_config()).go()


def test_the_sharding_of_the_pool_changes_no_byte_of_queries_and_predictions(
    small_config: Callable[..., Config], tmp_path: Path
) -> None:
    found = []
    for count in (1, 3):
        run = Run(
            small_config(storage=str(tmp_path / str(count)), query={"strategy": "badge"}, pool={"block_rows": 64})
        )
        run.shards = Shards(Preparation(run.plan.config, run.directory), count)
        run.go()
        names = ("rounds/0001/query.parquet", "rounds/0002/query.parquet", "rounds/0002/predictions.parquet")
        found.append([(run.folder / name).read_bytes() for name in (*names, "projection.safetensors")])
    assert found[0] == found[1]

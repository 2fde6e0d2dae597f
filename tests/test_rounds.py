"""The round in one process, without Ray: phases, files, resuming at every phase, reasons to stop."""

import json
import shutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from round_case import Ids, Run, contents

from distal.config import Config
from distal.errors import OracleError
from distal.ledger import Answer, Ledger, Query


@pytest.fixture
def run(small_config: Callable[..., Config]) -> Run:
    return Run(small_config())


def test_a_run_spends_its_budget_and_leaves_every_file_of_every_round(run: Run) -> None:
    outcome = run.go()
    assert (outcome.kind, outcome.reason) == ("stopped", "budget")
    for number in (1, 2):
        names = {p.name for p in (run.folder / f"rounds/{number:04d}").iterdir()}
        assert names == {"query.parquet", "labels.parquet", "checkpoint", "samples.png", "metrics.json", "COMMITTED"}
    metrics = json.loads((run.folder / "rounds/0002/metrics.json").read_text())
    assert (metrics["labels"], metrics["asked"], metrics["steps"]) == (20, 20, 8)
    goal = next(s for s in metrics["scores"] if s["name"] == metrics["goal"])
    assert {"value", "extractor", "hash", "samples", "reference_samples"} <= set(goal)


def test_no_row_is_asked_twice_and_none_is_held_out(run: Run) -> None:
    from distal.data.split import held_out

    run.go()
    asked = np.concatenate([Ledger(run.directory).read_query(n).row_ids for n in (1, 2)])  # type: ignore[union-attr]
    assert len(set(asked.tolist())) == 20
    assert not held_out(asked, run.setup.holdout).any()


@pytest.mark.parametrize(
    "lost",
    [
        ["COMMITTED"],
        ["COMMITTED", "metrics.json"],
        ["COMMITTED", "metrics.json", "samples.png"],
        ["COMMITTED", "metrics.json", "samples.png", "checkpoint/manifest.json"],
        ["COMMITTED", "metrics.json", "samples.png", "checkpoint"],
        ["COMMITTED", "metrics.json", "samples.png", "checkpoint", "labels.parquet"],
        ["COMMITTED", "metrics.json", "samples.png", "checkpoint", "labels.parquet", "query.parquet"],
    ],
    ids=lambda lost: lost[-1].replace("/", "-"),
)
def test_a_run_that_lost_its_last_phases_is_resumed_to_the_same_files(
    run: Run, small_config: Callable[..., Config], lost: list[str]
) -> None:
    run.go()
    unbroken = contents(run.folder)
    for name in lost:
        path = run.folder / "rounds/0002" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
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
    heard = [e.phase for e in run.events if e.round == 2]
    assert list(dict.fromkeys(heard)) == ["acquire", "annotate", "train", "evaluate", "commit"]


def test_false_at_a_commit_ends_the_loop_there(run: Run) -> None:
    outcome = run.go(on_commit=lambda result: False)
    assert outcome.kind == "interrupted"
    assert run.directory.committed() == [1]
    assert Ledger(run.directory).count() == 10


def test_a_goal_stops_the_run_and_the_reason_says_both_figures(small_config: Callable[..., Config]) -> None:
    outcome = Run(small_config(stop={"fid": 1e9})).go()
    assert outcome.reason == "goal"
    assert "1e+09" in outcome.message


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

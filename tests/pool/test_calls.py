"""A call reaches every row whatever dies, hangs or is lost meanwhile: shards as they are, in actors that are not there.

`tests/system/test_hung_shards.py` stops a real process, and `tests/system/lost_shards.py` takes real nodes away.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from absent_actors import Actor, pretend

from distal.config import Config
from distal.data.table import ImageTable, open_images
from distal.errors import ClusterError, StorageError
from distal.models import GAN
from distal.pool.calls import RESTART_TRIES, Piece, ShardCalls
from distal.pool.held import LOOK, PREPARED, Place
from distal.pool.local import LocalShard
from distal.pool.shard import divide_blocks
from distal.query import STRATEGIES, Known, select

NONE = np.zeros(0, dtype=np.int64)
SILENT_S, PLACE_S = 100.0, 50.0
OPENED = ("open_round", 1, STRATEGIES.find("random"), None, NONE, Known(NONE, NONE, 2))


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return pretend(monkeypatch)


@pytest.fixture
def images(small_config: Callable[..., Config]) -> ImageTable:
    return open_images(small_config(pool={"block_rows": 128}).pool)


@pytest.fixture
def held(images: ImageTable, notes: list[str], clock: SimpleNamespace) -> tuple[ShardCalls, list[Actor]]:
    """Return three shards of 15 blocks of which a round is opened, and their actors."""
    actors = [Actor(images, notes, name) for name in "abc"]
    bounds = divide_blocks(images.blocks, 3)
    calls = ShardCalls([Piece(b, a) for b, a in zip(bounds, actors, strict=True)], SILENT_S, PLACE_S)
    calls.places = {actor: Place(f"node of {actor.name}", 7) for actor in actors}
    said = calls.everywhere((PREPARED, "prepare", ()))
    assert sum(ready.rows for ready in said) == images.rows
    calls.journal = [(PREPARED, "prepare", ())]
    opened = ("1-round", OPENED[0], OPENED[1:])
    calls.everywhere(opened)
    calls.journal.append(opened)
    notes.clear()
    return calls, actors


def best(calls: ShardCalls) -> list[int]:
    """Return the 20 rows that are chosen."""
    tops = calls.everywhere(("1-round", "select", ("top", 20)))
    row_ids, scores = (np.concatenate([getattr(top, name) for top in tops]) for name in ("row_ids", "scores"))
    chosen: list[int] = row_ids[np.argsort(-scores, kind="stable")][:20].tolist()
    return chosen


@pytest.fixture
def unbroken(held: tuple[ShardCalls, list[Actor]], notes: list[str]) -> list[int]:
    chosen = best(held[0])
    notes.clear()
    return chosen


def test_shards_that_die_together_repeat_their_calls_side_by_side(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int], notes: list[str]
) -> None:
    calls, (a, b, _) = held
    a.dying, b.dying = ["select"], ["select"]
    assert best(calls) == unbroken
    assert [note for note in notes if note[0] in "ab"][2:] == [
        *("a ready", "b ready"),
        *("a prepare", "a open_round", "a select"),
        *("b prepare", "b open_round", "b select"),
    ]


def test_a_restart_that_nobody_noticed_is_found_by_the_next_call_and_by_the_eyes(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int], notes: list[str]
) -> None:
    calls, (a, b, _) = held
    a.die()
    assert best(calls) == unbroken
    b.die()
    calls.everywhere((LOOK, "_here", (NONE,)))
    assert notes[-4:] == ["b ready", "b prepare", "b open_round", "b _here"]


def test_a_shard_that_stops_is_killed_when_it_was_silent_for_long_and_repeats_its_calls(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int], notes: list[str], clock: SimpleNamespace
) -> None:
    calls, (_, b, _) = held
    b.stopped = True
    assert best(calls) == unbroken
    assert SILENT_S <= clock.now <= 2 * SILENT_S
    assert [note for note in notes if "killed" in note] == ["b killed"]


def test_one_that_works_is_waited_for_however_long_it_takes(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int], notes: list[str], clock: SimpleNamespace
) -> None:
    calls, (_, b, _) = held
    b.slow = True

    def end() -> None:
        b.slow = clock.now < 20 * SILENT_S

    clock.on_wait = end
    assert best(calls) == unbroken
    assert clock.now >= 20 * SILENT_S
    assert not [note for note in notes if "killed" in note]


def test_rows_of_a_shard_that_finds_no_place_go_to_the_others_and_the_choice_is_the_same(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int], images: ImageTable, clock: SimpleNamespace
) -> None:
    calls, (a, b, c) = held
    moved: list[Any] = []
    calls._moved = lambda pieces: moved.append([piece.blocks for piece in pieces])
    b.dying, b.away = ["select"], True
    assert best(calls) == unbroken
    assert clock.now >= PLACE_S
    assert b.ended
    assert [piece.actor for piece in calls.pieces] == [a, a, c, c]
    assert moved == [[(0, 5), (5, 8), (8, 10), (10, images.blocks)]]
    assert best(calls) == unbroken
    clock.now = 0.0
    a.dying = ["select"]
    assert best(calls) == unbroken  # with two pieces in one actor


def test_who_still_knows_a_lost_actor_cuts_its_rows_at_once(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int], clock: SimpleNamespace
) -> None:
    calls, (_, b, _) = held
    b.ended = True
    assert best(calls) == unbroken
    assert clock.now < PLACE_S


def test_two_lost_together_leave_their_rows_to_the_third_and_three_end_the_run_in_words(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int]
) -> None:
    calls, (a, b, c) = held
    for lost in (a, b):
        lost.dying, lost.away = ["select"], True
    assert best(calls) == unbroken
    assert {piece.actor for piece in calls.pieces} == {c}
    c.dying, c.away = ["select"], True
    with pytest.raises(ClusterError, match=r"no other is up .* within 50 s.\n.*ray status.*distal resume"):
        best(calls)


def test_a_shard_that_hangs_again_leaves_its_rows_to_others_and_a_third_time_is_told_where_and_in_what(
    held: tuple[ShardCalls, list[Actor]], unbroken: list[int], notes: list[str]
) -> None:
    calls, (a, b, c) = held
    b.stopped, b.stops_again = True, 1
    assert best(calls) == unbroken
    assert b.ended
    for each in (a, c):
        each.stopped, each.stops_again = True, 5
    with pytest.raises(ClusterError) as told:
        best(calls)
    assert "the shard of blocks" in str(told.value)
    assert "process 7 on node of" in str(told.value)
    assert "for 100 s in 'select'" in str(told.value)
    assert "pool.silent_s" in str(told.value)


def test_a_batch_that_is_chosen_pass_by_pass_survives_that_rows_change_hands(
    held: tuple[ShardCalls, list[Actor]], images: ImageTable, small_config: Callable[..., Config]
) -> None:
    """One dies in the second pass and finds no place, another in a later one and is restarted."""
    calls, (a, b, _) = held
    strategy, labeled = STRATEGIES.find("coreset"), np.array([3, 700, 1500])
    known = Known(labeled, np.array([0, 1, 1]), 2)
    scorer = GAN.create(small_config(), 8, 1, 10).scorer().to_bytes()
    alone = LocalShard(images, 0.0, 0)
    alone.prepare()
    alone.open_round(2, strategy, scorer, labeled, known)
    expected = select(alone, strategy, 90, 0, 2)
    assert expected.passes >= 2

    class Group:
        count = 0

        def call(self, method: str, *arguments: Any) -> list[Any]:
            self.count += 1
            if self.count == 4:
                b.dying, b.away = ["select"], True
            if self.count == 6:
                a.dying = ["select"]
            call = ("2-round", "select", (method, *arguments))
            said = calls.everywhere(call)
            calls.journal.append(call)
            return said

    opened = ("2-round", "open_round", (2, strategy, scorer, labeled, known, False))
    calls.journal = calls.journal[:1]
    calls.everywhere(opened)
    calls.journal.append(opened)
    group = Group()
    found = select(group, strategy, 90, 0, 2)
    assert group.count >= 6
    assert found.row_ids.tolist() == expected.row_ids.tolist()
    assert found.scores.tolist() == expected.scores.tolist()
    assert len(calls.pieces) == 4


def test_a_shard_that_dies_each_time_ends_the_run(held: tuple[ShardCalls, list[Actor]]) -> None:
    calls, (a, _, _) = held
    a.dying = ["select"] * RESTART_TRIES
    with pytest.raises(ClusterError, match=f"blocks 0 to 4 died {RESTART_TRIES} times in 'select', last as process 7"):
        best(calls)


def test_what_goes_wrong_in_a_repeated_call_is_told_as_it_is(
    held: tuple[ShardCalls, list[Actor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise StorageError("the new node's disk is full")

    calls, (a, _, _) = held
    a.dying = ["select"]
    monkeypatch.setattr("distal.pool.shard.Shard.prepare", fail)
    with pytest.raises(StorageError, match=r"^the new node's disk is full$"):
        best(calls)

"""Nodes that were told to go are counted once each, and looked for no more often than needed."""

from types import SimpleNamespace

import pytest
import ray._private.state

from distal.driver import drains
from distal.driver.drains import LOOK_S, Drains


def test_each_node_counts_once_and_stays_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, draining = SimpleNamespace(now=0.0), dict[str, int]()
    monkeypatch.setattr(drains, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(drains, "joined_ray", lambda: True)
    monkeypatch.setattr(ray._private.state, "state", SimpleNamespace(get_draining_nodes=lambda: dict(draining)))
    told = Drains()
    assert told() == 0
    draining["a"] = 1
    assert told() == 0, "looked a moment ago"
    clock.now += LOOK_S
    assert told() == 1
    draining.clear()
    draining["b"] = 0
    clock.now += LOOK_S
    assert told() == 2
    told.kept()
    assert told() == 0
    clock.now += LOOK_S
    assert told() == 0, "they are still draining"
    draining["c"] = 0
    clock.now += LOOK_S
    assert told() == 1


def test_outside_a_cluster_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drains, "joined_ray", lambda: False)
    assert Drains()() == 0

"""Shards as they are, in actors that are not there, under a Ray that is none: they die, stop and get lost as told."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, GetTimeoutError, RayTaskError

from distal.data.table import ImageTable
from distal.pool.held import HeldShard, Place


class Answer:
    """Be a reference: `read` gives the value or raises, and says None while there is neither."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self.read = read


class Actor:
    """Stand for a shard's actor. `stopped` it answers nothing, `slow` no call; `away` a restart has no place."""

    def __init__(self, images: ImageTable, notes: list[str], name: str) -> None:
        self._images, self._notes, self.name = images, notes, name
        self.slow, self.stopped, self.away, self.ended = False, False, False, False
        self.stops_again = self.starts = self._pulses = 0
        self.dying: list[str] = []
        self._queue: list[Callable[[], None]] = []
        self._start()

    def _start(self) -> None:
        self._queue.clear()
        self._held = HeldShard("run", self._images, 0.0, 0, None, "cpu")
        self.starts += 1

    def __getattr__(self, method: str) -> Any:
        def remote(*arguments: Any) -> Answer:
            return self._call(method, arguments)

        return SimpleNamespace(remote=remote, options=lambda **how: SimpleNamespace(remote=remote))

    def die(self) -> None:
        self._start()

    def _call(self, method: str, arguments: tuple[Any, ...]) -> Answer:
        born = self.starts
        self._notes.append(f"{self.name} {arguments[2] if method == 'invoke' else method}")
        if method == "invoke" and arguments[2] in self.dying:
            self.dying.remove(arguments[2])
            self.die()
            return Answer(self._raise(ActorUnavailableError("died", b"0" * 16)))
        kept: list[Any] = []

        def make() -> None:
            try:
                kept.append(self._held.invoke(*arguments))
            except Exception as error:  # noqa: BLE001 - as Ray hands it over
                kept.append(RayTaskError(method, "traceback", error))

        if method == "invoke":
            self._queue.append(make)

        def read() -> Any:
            if self.ended:
                raise ActorDiedError
            if born != self.starts and method == "invoke":
                raise ActorUnavailableError("died", b"0" * 16)
            if method == "ready":
                return None if self.away else Place(f"node of {self.name}", 7)
            if self.away or self.stopped or (self.slow and method == "invoke"):
                return None
            if method == "pulse":
                self._pulses += self.slow
                return self._pulses
            while not kept:
                self._queue.pop(0)()
            if isinstance(kept[0], RayTaskError):
                raise kept[0]
            return kept[0]

        return Answer(read)

    def _raise(self, error: Exception) -> Callable[[], Any]:
        def read() -> Any:
            raise error

        return read

    def kill(self, no_restart: bool) -> None:
        self._notes.append(f"{self.name} killed")
        self.ended = no_restart
        self.die()
        self.stopped = self.stops_again > 0
        self.stops_again -= 1


def pretend(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Put a Ray in place that answers when it is asked, and return a clock that goes on where one waits in vain."""
    clock = SimpleNamespace(now=0.0, on_wait=lambda: None)
    clock.monotonic = lambda: clock.now

    def ready(answer: Answer) -> bool:
        try:
            return answer.read() is not None
        except Exception:  # noqa: BLE001 - an error is an answer
            return True

    def get(asked: Any, timeout: float | None = None) -> Any:
        if isinstance(asked, list):
            values = [each.read() for each in asked]
            if any(value is None for value in values):
                clock.now += timeout
                raise GetTimeoutError
            return values
        return asked.read()

    def wait(asked: Sequence[Answer], timeout: float, num_returns: int = 1) -> tuple[list[Answer], list[Answer]]:
        clock.on_wait()
        done = [each for each in asked if ready(each)]
        if len(done) < num_returns:
            clock.now += timeout
        return done, [each for each in asked if each not in done]

    monkeypatch.setattr("ray.get", get)
    monkeypatch.setattr("ray.wait", wait)
    monkeypatch.setattr("ray.kill", lambda actor, no_restart=True: actor.kill(no_restart))
    monkeypatch.setattr("distal.pool.calls.time", clock)
    monkeypatch.setattr("distal.pool.pulses.time", clock)
    return clock

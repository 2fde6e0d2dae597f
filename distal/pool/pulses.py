"""Find the actors that are hung: asked beside a call that is under way, they neither answer nor have gone on.

No limit on the call itself could do that: a pass over a large shard takes as long as it takes. What is limited is how
long there is no sign of work, which `HeldShard.pulse` gives.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

EVERY_S = 30.0
"""How often actors that let wait are asked, at most: a question takes 0.3 ms of the driver."""

ASKED_WITHIN = 4
"""How often at least within the limit."""


KILL_S = 30.0
"""How long it may take to kill a process that does not answer: Ray asks it first, for 5 s."""


@dataclass
class Sign:
    """Keep what an actor showed last, for how many seconds it has shown nothing else, and what it is asked now."""

    shown: Any = None
    silent_s: float = 0.0
    asked: Any = None


class Pulses:
    """Watch actors during one call.

    Args:
        limit_s: seconds without a sign of work after which an actor is hung.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._every_s = min(EVERY_S, limit_s / ASKED_WITHIN)
        self._signs: dict[Any, Sign] = {}
        self._looked = time.monotonic()

    def hung(self, actors: Sequence[Any]) -> list[Any]:
        """Return which of these actors, all under way with a call, are hung; call it every now and then.

        One that is returned is being killed from then on, and counts as just begun when that is done. Time counts in
        which this process was awake to look.
        """
        passed = time.monotonic() - self._looked
        if passed < self._every_s:
            return []
        self._looked = time.monotonic()
        self._signs = {actor: self._signs.get(actor, Sign()) for actor in actors}
        for actor, sign in self._signs.items():
            sign.silent_s = 0.0 if self._moved(actor, sign) else sign.silent_s + min(passed, 2 * self._every_s)
        found = [actor for actor, sign in self._signs.items() if sign.silent_s >= self._limit_s]
        for actor in found:
            self._signs[actor] = Sign(silent_s=-KILL_S)
        return found

    def _moved(self, actor: Any, sign: Sign) -> bool:
        """Say whether it shows anything new; ask again where it has answered."""
        shown = sign.shown
        if sign.asked is None or ray.wait([sign.asked], timeout=0)[0]:
            if sign.asked is not None:
                shown = _answer(sign.asked)
            sign.asked = actor.pulse.remote()
        moved: bool = shown != sign.shown
        sign.shown = shown
        return moved


def _answer(asked: Any) -> Any:
    try:
        return ray.get(asked)
    except RayError:
        return None  # it died, which whoever awaits the call hears

"""Give up trials by asynchronous successive halving that does not judge by one noisy value.

A trial that reaches a rung goes on if it is among the best n / reduction of the n that reached it so far (Li et al.
2020, the stopping variant), or among the best `keep`. Tune's own ASHA compares with a percentile of those before: the
second trial to arrive must beat the first, the third their upper third, and so good ones fall to the order of arrival.
Replayed over 100 orders of 12 runs on the digits: where points lie close together Tune's rule keeps the final top two
in 10 orders, this one in 31; where they do not, both keep them, and this one saves 0.36 of the compute, Tune's 0.42.
"""

import math
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from distal.sweep.objective import WORST


class SuccessiveHalving(FIFOScheduler):  # type: ignore[misc]
    """Decide at rungs of `grace`, `grace` x reduction, ... labels whether a trial goes on.

    Args:
        grace: labels that every trial is given. reduction: of how many at a rung one goes on. keep: how many of the
            best at a rung go on in any case. mode: "min" or "max" of the objective.
    """

    def __init__(self, grace: int, reduction: int, keep: int, mode: str) -> None:
        super().__init__()
        self._grace, self._reduction, self._keep = grace, reduction, keep
        self._sign = 1.0 if mode == "min" else -1.0
        self._seen: dict[int, dict[str, float]] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return whether the trial goes on; a rung is judged once a trial, at the first round at or past it."""
        asked = result["asked"]
        if asked < self._grace:
            return str(TrialScheduler.CONTINUE)
        rung = self._grace * self._reduction ** math.floor(math.log(asked / self._grace, self._reduction) + 1e-9)
        seen = self._seen.setdefault(rung, {})
        if trial.trial_id in seen:
            return str(TrialScheduler.CONTINUE)
        value = self._sign * result["objective"]
        # Equals share a rank, as runs do before their first labels tell them apart; without a value nobody goes on.
        rank = 1 + sum(other < value or value >= WORST for other in seen.values())
        seen[trial.trial_id] = value
        going_on = rank <= max(self._keep, math.ceil(len(seen) / self._reduction))
        return str(TrialScheduler.CONTINUE if going_on else TrialScheduler.STOP)

"""Train a population in step: exchange weights and values at common points, and go on when a member is gone."""

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining

from distal.sweep.space import Range, Space


class Population(PopulationBasedTraining):  # type: ignore[misc]
    """Be Tune's synchronous population-based training (Jaderberg et al. 2017) that survives the loss of a member.

    Members that have come to an exchange are paused until the last one has. Where the last one fails instead, Tune
    (2.60) would wait for it for ever: then that exchange is left out.

    Args:
        domains: Tune's domain of each searched key. interval, grace: labels between two exchanges and before the first.
            quantile: share that takes over, and that is taken from.
    """

    def __init__(
        self, space: Space, domains: dict[str, Any], interval: int, grace: int, quantile: float, mode: str
    ) -> None:
        super().__init__(
            time_attr="asked",
            metric="objective",
            mode=mode,
            perturbation_interval=interval,
            burn_in_period=grace,
            quantile_fraction=quantile,
            hyperparam_mutations={"trial": {"point": domains}},
            custom_explore_fn=_within(space),
            synch=True,
        )

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the next member to run; where all that are left wait for one that is gone, go on without it."""
        chosen = super().choose_trial_to_run(tune_controller)
        states = [trial.status for trial in tune_controller.get_trials()]
        waiting = Trial.PAUSED in states and not {Trial.RUNNING, Trial.PENDING} & set(states)
        while chosen is None and waiting:
            self._next_perturbation_sync += self._perturbation_interval
            chosen = super().choose_trial_to_run(tune_controller)
        return chosen


def _within(space: Space) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a function that keeps what was perturbed within its range."""
    ranges = [dimension for dimension in space.dimensions if isinstance(dimension, Range)]

    def clip(config: dict[str, Any]) -> dict[str, Any]:
        point = dict(config["trial"]["point"])
        for dimension in ranges:
            point[dimension.key] = dimension.clip(point[dimension.key])
        return {**config, "trial": {**config["trial"], "point": point}}

    return clip

"""A population keeps to its ranges, and goes on when the member that all others wait for is gone."""

from types import SimpleNamespace
from typing import Any

from ray.tune.experiment import Trial

from distal.resolve import make_config
from distal.sweep.population import Population
from distal.sweep.resolve import make_sweep
from distal.sweep.search import make_scheduler
from distal.sweep.space import parse_space

SPACE = {"model.learning_rate_g": {"loguniform": [1e-4, 1e-2]}, "model.lazy_interval": {"randint": [1, 5]}}
BASE = make_config({"rounds": 9, "query": {"batch": 5}})


class Controller:
    def __init__(self, members: list[Any]) -> None:
        self.members = members

    def get_trials(self) -> list[Any]:
        return self.members


def population() -> Population:
    sweep = make_sweep({"space": SPACE, "early_stop": {"scheduler": "pbt", "interval": 1}, "trials": 4})
    scheduler = make_scheduler(sweep, BASE, parse_space(SPACE), "min")
    assert isinstance(scheduler, Population)
    return scheduler


def at_the_exchange(last: str) -> tuple[Population, Controller]:
    """Return four members: three wait at an exchange that the last one, in this state, has not reached."""
    scheduler = population()
    reached = scheduler._next_perturbation_sync
    members: list[Any] = [SimpleNamespace(status=status) for status in (*[Trial.PAUSED] * 3, last)]
    times = [reached, reached, reached, 0]
    states = {id(m): SimpleNamespace(last_train_time=time) for m, time in zip(members, times, strict=True)}
    scheduler._trial_state = _ByIdentity(states)
    return scheduler, Controller(members)


class _ByIdentity(dict[int, Any]):
    """Look members up, which cannot be hashed, by what they are."""

    def __getitem__(self, member: Any) -> Any:
        return super().__getitem__(id(member))


def test_members_wait_for_one_that_still_runs() -> None:
    scheduler, controller = at_the_exchange(Trial.RUNNING)
    assert scheduler.choose_trial_to_run(controller) is None


def test_members_go_on_when_the_one_they_wait_for_has_failed() -> None:
    scheduler, controller = at_the_exchange(Trial.TERMINATED)
    assert scheduler.choose_trial_to_run(controller) in controller.members[:3]


def test_nobody_is_chosen_when_all_have_ended() -> None:
    scheduler, controller = at_the_exchange(Trial.TERMINATED)
    for member in controller.members:
        member.status = Trial.TERMINATED
    assert scheduler.choose_trial_to_run(controller) is None


def test_what_is_changed_stays_within_the_ranges() -> None:
    config = {"trial": {"point": {"model.learning_rate_g": 0.5, "model.lazy_interval": 7}, "seed": 3}}
    clipped = population()._custom_explore_fn(config)
    assert clipped == {"trial": {"point": {"model.learning_rate_g": 1e-2, "model.lazy_interval": 4}, "seed": 3}}

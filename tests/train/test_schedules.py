import math

import pytest
from training_case import config

from distal.errors import ConfigError
from distal.resolve import make_config
from distal.train.schedules import rate_factor


def factors(steps: list[int], **train: object) -> list[float]:
    return [rate_factor(config(**train), step) for step in steps]


def test_rates_are_constant_unless_something_else_is_asked() -> None:
    assert factors([0, 10, 10_000]) == [1.0, 1.0, 1.0]


def test_a_warm_up_rises_by_equal_steps_to_the_whole_rate() -> None:
    assert factors([0, 1, 2, 3, 4, 99], warmup_steps=4) == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_cosine_and_linear_go_from_the_whole_rate_to_its_last_share_and_stay_there() -> None:
    half, quarter = {"schedule_steps": 100, "final_rate": 0.1}, 0.5 * (1 + math.cos(math.pi / 4))
    assert factors([0, 25, 50, 100, 300], schedule="cosine", **half) == pytest.approx(
        [1.0, 0.1 + 0.9 * quarter, 0.55, 0.1, 0.1]
    )
    assert factors([0, 25, 100, 300], schedule="linear", **half) == pytest.approx([1.0, 0.775, 0.1, 0.1])


def test_a_schedule_spans_the_planned_rounds_unless_its_steps_are_said() -> None:
    c = make_config({"rounds": 4, "train": {"schedule": "linear", "steps": 50, "final_rate": 0.0}})
    assert rate_factor(c, 100) == pytest.approx(0.5)


def test_a_schedule_that_restarts_begins_anew() -> None:
    again = {"schedule": "linear", "schedule_steps": 10, "schedule_restarts": True, "final_rate": 0.0}
    assert factors([0, 9, 10, 19], **again) == pytest.approx([1.0, 0.1, 1.0, 0.1])


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.schedule: unknown schedule 'cosin'; did you mean 'cosine'"):
        make_config({"train": {"schedule": "cosin"}})
    with pytest.raises(ConfigError, match=r"train\.schedule_restarts: .*\nSet train\.schedule_steps"):
        make_config({"train": {"schedule_restarts": True}})

import pytest
from torch import Tensor

from distal.errors import ConfigError
from distal.losses.regularizers import REGULARIZERS, StepTensors, get_regularizers, regularizer


def test_a_null_weight_is_the_default_scaled_by_pixels() -> None:
    chosen = get_regularizers({"r1": None, "r2": 0.3}, pixels=64)
    assert chosen["r1"][1] == pytest.approx(64 * REGULARIZERS.entries["r1"].default)
    assert get_regularizers({"r1": None}, 1024)["r1"][1] == pytest.approx(16 * chosen["r1"][1])
    assert chosen["r2"][1] == 0.3
    assert get_regularizers({"lecam": None}, 1024)["lecam"][1] == 0.3, "its size has nothing to do with pixels"


def test_a_weight_of_zero_leaves_the_regularizer_out() -> None:
    assert get_regularizers({"r1": 0.0}, 64) == {}


def test_an_unknown_regularizer_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"model\.regularizers: unknown regularizer 'r11'; did you mean 'r1'"):
        get_regularizers({"r11": 1.0}, 64)


def test_a_regularizer_is_added_by_one_decorated_function() -> None:
    @regularizer("tiny", player="G", lazy=False, default=1.0)
    def tiny(step: StepTensors) -> Tensor:
        return step.logits.square().mean()

    try:
        assert get_regularizers({"tiny": None}, 1)["tiny"][0].player == "G"
    finally:
        del REGULARIZERS.entries["tiny"]

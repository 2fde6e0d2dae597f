import numpy as np
import pytest
import torch
from step_case import step_of

from distal.losses.regularizers import StepTensors
from distal.losses.regularizers.entropy import head_entropy, mutual_information

LOGITS = np.random.default_rng(0).normal(0, 2, (8, 3))  # four real rows, four generated ones


def step(player: str) -> StepTensors:
    made = step_of(lambda x: x.flatten(1).sum(1), torch.zeros(8, 1, 1, 1), player=player)  # type: ignore[arg-type]
    made.__dict__["class_logits"] = torch.from_numpy(LOGITS)
    return made


def entropy(p: np.ndarray) -> np.ndarray:
    return -(p * np.log(p)).sum(-1)


def test_head_entropy_is_the_mean_entropy_of_the_heads_word_on_real_images() -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    assert head_entropy(step("D")).item() == pytest.approx(entropy(p[:4]).mean(), rel=1e-5)


@pytest.mark.parametrize(("player", "rows"), [("D", slice(0, 4)), ("G", slice(4, 8))])
def test_mutual_information_is_entropy_of_the_mean_less_mean_entropy_and_is_maximized(player: str, rows: slice) -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    expected = entropy(p[rows].mean(0)) - entropy(p[rows]).mean()
    assert expected > 0
    assert mutual_information(step(player)).item() == pytest.approx(-expected, rel=1e-5)

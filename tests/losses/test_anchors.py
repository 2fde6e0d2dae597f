import numpy as np
import pytest
import torch
from step_case import step_of

from distal.losses.regularizers.anchors import DECAY, lecam


def test_lecam_pulls_logits_to_the_moving_average_of_the_other_kind() -> None:
    logits = np.random.default_rng(0).normal(0, 1, (300, 8))  # 300 steps of four real rows, then four generated ones
    state = {name: torch.zeros((), dtype=torch.float64) for name in ("real", "fake", "updates")}
    anchors = np.zeros(2)
    for t, row in enumerate(logits, start=1):
        weight = max(1 - DECAY, 1 / t)
        anchors += weight * (np.array([row[:4].mean(), row[4:].mean()]) - anchors)
        expected = np.square(row[:4] - anchors[1]).mean() + np.square(row[4:] - anchors[0]).mean()
        step = step_of(lambda x: x.flatten(1).sum(1), torch.from_numpy(row)[:, None, None, None], lecam=state)
        assert lecam(step).item() == pytest.approx(expected, rel=1e-12), t
    assert float(state["updates"]) == 300

import numpy as np
import pytest
import torch
from metric_fakes import on_ranks

from distal.communicator import Alone
from distal.metrics.inception_score import inception_score

LOGITS = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (200, 5))).float()


class Same(torch.nn.Module):
    num_features = 5

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return LOGITS[: len(images)]


def test_it_agrees_with_torchmetrics_in_one_split() -> None:
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(feature=Same(), splits=1)
    metric.update(torch.zeros(200, 3, 4, 4, dtype=torch.uint8))
    assert inception_score(LOGITS, Alone()) == pytest.approx(float(metric.compute()[0]), rel=1e-5)


def test_it_is_the_number_of_classes_where_each_is_drawn_as_often_and_surely_and_one_where_nothing_is_sure() -> None:
    assert inception_score(1e3 * torch.eye(5).repeat(4, 1), Alone()) == pytest.approx(5.0)
    assert inception_score(torch.zeros(20, 5), Alone()) == pytest.approx(1.0)


def test_ranks_with_unequal_parts_agree_with_one() -> None:
    parts = LOGITS.split([150, 0, 50])
    found = on_ranks(3, lambda comm: inception_score(parts[comm.rank], comm))
    assert found == pytest.approx([inception_score(LOGITS, Alone())] * 3, rel=1e-12)

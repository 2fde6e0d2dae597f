import numpy as np
import pytest
import torch
from metric_fakes import on_ranks

from distal.communicator import Alone
from distal.metrics.diversity import class_variances

X = torch.from_numpy(np.random.default_rng(0).normal(5, 2, (31, 4))).float()
LABELS = np.arange(31) % 3


def test_it_is_half_the_mean_squared_distance_of_two_images_of_a_class() -> None:
    found = class_variances(X, LABELS, 4, X.mean(0), Alone())
    for label in range(3):
        own = X[torch.from_numpy(label == LABELS)].double()
        squares = torch.cdist(own, own).square().sum() / (len(own) * (len(own) - 1))
        assert float(found[label]) == pytest.approx(float(squares) / 2, rel=1e-9)
    assert torch.isnan(found[3])


def test_ranks_agree_with_one() -> None:
    def work(comm: object) -> list[float]:
        mine = slice(0, 20) if comm.rank == 0 else slice(20, 31)  # type: ignore[attr-defined]
        return class_variances(X[mine], LABELS[mine], 3, X.mean(0), comm).tolist()  # type: ignore[arg-type]

    assert on_ranks(2, work)[1] == pytest.approx(class_variances(X, LABELS, 3, X.mean(0), Alone()).tolist(), rel=1e-12)

import numpy as np
import pytest
import torch

from distal.communicator import Alone
from distal.errors import EvaluationError
from distal.metrics import kernel
from distal.metrics.kernel import kernel_distance, within_sums


def features(n: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(shift, 1, (n, 12))).float()


def test_it_is_the_u_statistic_written_out() -> None:
    x, y = features(7, 1).double(), features(5, 2, 0.5).double()
    k = lambda a, b: (a @ b / 12 + 1) ** 3  # noqa: E731
    xx = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (7 * 6)
    yy = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (5 * 4)
    xy = sum(k(a, b) for a in x for b in y) / 35
    assert kernel_distance(x, y, Alone()).value == pytest.approx(float(xx + yy - 2 * xy), rel=1e-12)


def test_blocks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = features(70, 3).double(), features(50, 4, 0.5).double()
    whole = kernel_distance(x, y, Alone())
    monkeypatch.setattr(kernel, "BLOCK", 16)
    assert tuple(kernel_distance(x, y, Alone())) == pytest.approx(tuple(whole), rel=1e-9)


def test_a_known_reference_sum_is_used() -> None:
    x, y = features(40, 5), features(50, 6, 0.5)
    assert kernel_distance(x, y, Alone(), within_sums(x, Alone())) == kernel_distance(x, y, Alone())


def test_its_error_is_that_of_leaving_out_each_image_in_turn() -> None:
    x, y = features(9, 8).double(), features(6, 9, 0.5).double()

    def spread(values: list[float]) -> float:
        return (len(values) - 1) * float(np.var(values))

    without_x = [kernel_distance(torch.cat([x[:i], x[i + 1 :]]), y, Alone()).value for i in range(9)]
    without_y = [kernel_distance(x, torch.cat([y[:i], y[i + 1 :]]), Alone()).value for i in range(6)]
    expected = (spread(without_x) + spread(without_y)) ** 0.5
    assert kernel_distance(x, y, Alone()).error == pytest.approx(expected, rel=1e-9)
    assert kernel_distance(x[:2], y, Alone()).error is None


def test_its_error_is_about_the_spread_over_samples() -> None:
    found = [kernel_distance(features(80, s), features(60, 1000 + s, 0.4), Alone()) for s in range(60)]
    assert np.mean([e.error for e in found]) == pytest.approx(np.std([e.value for e in found]), rel=0.3)


def test_its_mean_over_samples_of_one_law_is_zero() -> None:
    values = [kernel_distance(features(60, s), features(60, 1000 + s), Alone()).value for s in range(60)]
    assert abs(np.mean(values)) < 4 * np.std(values) / 60**0.5


def test_fewer_than_two_images_are_refused() -> None:
    with pytest.raises(EvaluationError, match="there are 5 and 1"):
        kernel_distance(features(5, 1), features(1, 2), Alone())


class Flat(torch.nn.Module):
    num_features = 12

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1).float() / 64


def test_it_agrees_with_torchmetrics_taking_all_rows_as_the_one_subset() -> None:
    from torchmetrics.image.kid import KernelInceptionDistance

    rng = np.random.default_rng(7)
    x = torch.from_numpy(rng.integers(0, 256, (120, 3, 2, 2), dtype=np.uint8))
    y = torch.from_numpy(rng.integers(0, 200, (120, 3, 2, 2), dtype=np.uint8))
    metric = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=120)
    metric.update(x, real=True)
    metric.update(y, real=False)
    # torchmetrics sums 14,400 kernel values of up to 1e2 in float32: 1e-5 of the largest term.
    assert kernel_distance(Flat()(x), Flat()(y), Alone()).value == pytest.approx(float(metric.compute()[0]), rel=1e-3)

import numpy as np
import pytest
import torch

from distal.features.calibration import expected_calibration_error, fit_temperature


def drawn(rows: int, temperature: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw logits and labels that follow softmax(logits / temperature)."""
    draw = torch.Generator().manual_seed(seed)
    logits = 3.0 * torch.randn(rows, 4, generator=draw, dtype=torch.float64)
    labels = torch.multinomial((logits / temperature).softmax(1), 1, generator=draw)[:, 0]
    return logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_is_the_one_that_the_labels_were_drawn_at(temperature):
    assert fit_temperature(*drawn(20_000, temperature)) == pytest.approx(temperature, rel=0.05)


def test_the_log_loss_has_no_slope_at_the_temperature():
    logits, labels = drawn(500, 2.0)
    weights = torch.linspace(0.1, 1.0, 500, dtype=torch.float64)
    t = torch.tensor(fit_temperature(logits, labels, weights), dtype=torch.float64, requires_grad=True)
    (torch.nn.functional.cross_entropy(logits / t, labels, reduction="none") @ weights).backward()
    assert abs(float(t.grad)) < 1e-6


def test_separated_labels_take_the_coldest_temperature_and_no_labels_none():
    logits = torch.eye(3)
    assert fit_temperature(logits, torch.arange(3)) == pytest.approx(0.05)
    assert fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)) == 1.0


def test_the_calibration_error_is_the_gap_of_confidence_and_accuracy():
    probs = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.4, 0.6], [0.1, 0.9]])
    labels = torch.tensor([0, 0, 0, 1])
    assert expected_calibration_error(probs, labels, bins=2) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1)
    assert expected_calibration_error(probs, labels) == pytest.approx(0.0)  # one bin of four
    assert expected_calibration_error(probs[:0], labels[:0]) == 0.0


def test_a_calibrated_classifier_has_a_small_error_and_one_of_the_wrong_temperature_a_large_one():
    logits, labels = drawn(20_000, 3.0)
    assert expected_calibration_error((logits / 3.0).softmax(1), labels) < 0.02
    assert expected_calibration_error(logits.softmax(1), labels) > 0.2


def test_few_rows_of_a_calibrated_classifier_are_not_blamed_for_chance():
    errors = []
    for seed in range(20):
        logits, labels = drawn(40, 1.0, seed)
        errors.append(expected_calibration_error(logits.softmax(1), labels))
    assert np.mean(errors) < 0.1

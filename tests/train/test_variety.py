"""A generator that draws one image of a class again and again is seen while it trains."""

import logging

import numpy as np
import pytest
import torch
from training_case import Stripes, config, labeled_rows

from distal.communicator import Alone
from distal.models import GAN
from distal.train import train_round
from distal.train.rows import TrainingRows
from distal.train.variety import COLLAPSED, DRAWN, UNTRAINED, Variety


class Artist:
    """Draw the real images of a class, or one of them again and again."""

    def __init__(self, step: int, alike: tuple[int, ...] = ()) -> None:
        self.step, self._alike = step, alike

    def generate(self, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        rows = [y + 2 * (0 if y in self._alike else 50 + i % DRAWN) for i, y in enumerate(labels.tolist())]
        return torch.from_numpy(Stripes().pixels(np.array(rows)))


def watched(rows: TrainingRows, every: int = 100) -> Variety:
    return Variety(rows, ("level", "upright"), 8, every)


def test_real_images_are_as_varied_as_the_labeled_ones_and_one_image_is_not(caplog: pytest.LogCaptureFixture) -> None:
    rows = labeled_rows(40)
    seen = watched(rows).look(Artist(UNTRAINED), 100, last=False)
    # Stripes with noise of one spread: the variance of 16 images of 64 pixels is known to about 1 / sqrt(16 x 64 / 2).
    assert seen["variety"] == pytest.approx(1.0, abs=0.15)
    assert seen["variety_least"] == pytest.approx(1.0, abs=0.2)
    assert not caplog.records
    variety = watched(rows)
    seen = variety.look(Artist(UNTRAINED, alike=(1,)), 100, last=False)
    assert seen["variety_least"] == 0.0 < COLLAPSED < seen["variety"]
    assert "update 200: images of class upright are nearly one image (0.00 of the labeled" in caplog.text
    variety.look(Artist(300, alike=(1,)), 200, last=False)
    assert len(caplog.records) == 1, "it is said once"


def test_an_untrained_model_and_classes_of_few_labels_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert watched(labeled_rows(40)).look(Artist(UNTRAINED - 1, alike=(0, 1)), 100, last=True)["variety"] == 0.0
    few = np.arange(5, dtype=np.int64)  # three of one class, two of the other
    rows = TrainingRows(Stripes(), 200, np.zeros(0, np.int64), None, few, few % 2, seed=0)
    seen = watched(rows).look(Artist(UNTRAINED, alike=(1,)), 100, last=True)
    assert seen["variety"] == seen["variety_least"] > COLLAPSED
    assert watched(labeled_rows(2)).look(Artist(UNTRAINED, alike=(0, 1)), 100, last=True) == {}
    assert not caplog.records


def test_it_looks_as_often_as_is_asked_and_changes_nothing_of_the_training() -> None:
    heard: dict[int, bool] = {}
    models = []
    for every in (0, 40):
        model = GAN.create(config(), 8, 1, 2)
        rows = labeled_rows(12)
        variety = Variety(rows, ("level", "upright"), 64, every) if every else None
        seen = lambda done, facts: heard.update({done: "variety" in facts})  # noqa: E731
        models.append(train_round(model, rows, Alone(), 50, seen, watched=variety))
    (plain, losses), (other, more) = models
    assert plain.to_files() == other.to_files()
    assert {name: more[name] for name in losses} == losses
    assert heard == {20: False, 40: True, 50: True}
    assert more.keys() - losses.keys() == {"variety", "variety_least"}
